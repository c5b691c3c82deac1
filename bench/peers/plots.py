"""Plots, as SVG with their numbers in words. matplotlib is needed here alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.soak import Curves

_OURS = "#0b6e4f"
_OTHERS = ("#8a8f98", "#c0763b", "#4a6fa5", "#9c5aa0", "#b8a13a")


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "smtpapi"  # the same plot is the same file
    mpl.rcParams["font.family"] = "sans-serif"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(visible=True, color="#e4e6ea")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


def curves(
    found: Mapping[str, Sequence[tuple[int, float]]],
    file: Path,
    title: str,
    x: str,
    y: str,
    *,
    log: bool = True,
) -> None:
    """Write lines over a logarithmic axis. log: the other axis is logarithmic as well."""
    figure, axes = _axes(title, x, y)
    colours = iter(_OTHERS * 2)
    for name, points in found.items():
        colour = _OURS if name == "ours" or len(found) == 1 else next(colours)
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name, color=colour)
    axes.set_xscale("log")
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if len(found) > 1:
        axes.legend(frameon=False)
    _save(figure, file)


def bars(values: Mapping[str, float], file: Path, title: str, x: str) -> None:
    """Write a bar for each, its number beside it; ours is green."""
    figure, axes = _axes(title, x, "")
    names = list(values)[::-1]
    drawn = axes.barh(
        names,
        [values[name] for name in names],
        color=[_OURS if name == "ours" else _OTHERS[0] for name in names],
    )
    axes.bar_label(drawn, fmt=lambda value: f" {value:,.2f}" if value < 100 else f" {value:,.0f}")
    axes.margins(x=0.15)
    _save(figure, file)


def soak(found: Curves, file: Path) -> None:
    """Write the memory of each program over the run, and the spool."""
    figure, axes = _axes("A day's mail in a short time", "seconds", "MB")
    for colour, (name, curve) in zip((_OURS, *_OTHERS), found.memory.items(), strict=False):
        axes.plot(found.seconds, curve, label=f"memory of {name}", color=colour)
    axes.plot(found.seconds, found.spool, label="spool", color="#333333", linestyle=":")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, ncols=2, fontsize="small")
    _save(figure, file)
