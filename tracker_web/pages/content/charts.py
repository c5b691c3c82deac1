"""Charts as SVG from the server: they work without script, in print, and for who cannot see them.

No style in them (the page's policy forbids it): classes, which the style sheet colours. Pure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor, log10
from typing import Final

from markupsafe import Markup, escape

from tracker_web.languages.translation import gettext
from tracker_web.pages.content.numbers import MONTH, SHORT_DAY, day, grouped

WIDTH: Final = 960
HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 30
_LABELS: Final = 7  # under the line, at most
_DOTS: Final = 62  # beyond so many points a dot for each would be a smear


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart. name: of its column in exports. css: its class. values: one for each moment.

    title: for the legend, in the language of the page; "" for its name.
    """

    name: str
    css: str
    values: tuple[float, ...]
    title: str = ""

    @property
    def legend(self) -> str:
        """Return what the legend says."""
        return self.title or self.name


def steps(most: float) -> list[int]:
    """Return whole numbers to mark on an axis that reaches `most`: 0 and up to four more."""
    if most <= 4:
        return list(range(max(1, int(most + 0.999)) + 1))
    rough = most / 4
    magnitude = 10 ** floor(log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    step = max(1, int(step))
    count = int(-(-most // step))
    return [number * step for number in range(count + 1)]


def line_chart(
    title: str, moments: Sequence[int], lines: Sequence[Line], *, precision: str, name: str = "chart"
) -> Markup:
    """Return lines over time. moments: Unix milliseconds, one for each value. precision: of `increments`.

    name: begins the ids of its title and description, so each chart of a page needs its own.
    """
    marks = steps(max((value for line in lines for value in line.values), default=0))
    top = marks[-1]
    span = max(1, len(moments) - 1)

    def x(number: int) -> float:
        width = WIDTH - _LEFT - _RIGHT
        return _LEFT + (width * number / span if len(moments) > 1 else width / 2)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="{escape(name)}-title {escape(name)}-desc">',
        f'<title id="{escape(name)}-title">{escape(title)}</title>',
        f'<desc id="{escape(name)}-desc">{escape(_description(moments, lines, precision))}</desc>',
    ]
    parts += [
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
        f'<text class="axis" x="{_LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">'
        f"{grouped(mark)}</text>"
        for mark in marks
    ]
    every = max(1, -(-len(moments) // _LABELS))
    for number in range(0, len(moments), every):
        anchor = "middle"
        if len(moments) > 1 and number in (0, len(moments) - 1):
            anchor = "end" if number else "start"
        parts.append(
            f'<text class="axis under" x="{x(number):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">'
            f"{escape(label(moments[number], precision))}</text>"
        )
    for place, line in enumerate(lines):
        points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in enumerate(line.values))
        if place == 0 and len(moments) > 1:
            base = f"{x(len(moments) - 1):.1f},{y(0):.1f} {x(0):.1f},{y(0):.1f}"
            parts.append(f'<polygon class="area {escape(line.css)}" points="{points} {base}"/>')
        parts.append(f'<polyline class="line {escape(line.css)}" points="{points}"/>')
        if len(moments) <= _DOTS:
            for number, value in enumerate(line.values):
                hint = f"{label(moments[number], precision)}: {grouped(value)} {line.legend}"
                parts.append(
                    f'<circle class="dot {escape(line.css)}" cx="{x(number):.1f}" cy="{y(value):.1f}" r="3">'
                    f"<title>{escape(hint)}</title></circle>"
                )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text in it was escaped above


def share_bar(shares: Sequence[tuple[str, float]], title: str) -> Markup:
    """Return a bar of parts, each a class and its number; an empty one where all are 0."""
    whole = sum(number for _, number in shares)
    parts, at = [], 0.0
    for css, number in shares:
        if whole and number:
            width = 100 * number / whole
            parts.append(f'<rect class="{escape(css)}" x="{at:.2f}" width="{width:.2f}" height="6"/>')
            at += width
    inner = "".join(parts)
    return Markup(  # noqa: S704 - every text in it was escaped
        f'<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}"><rect class="none" width="100" height="6"/>{inner}</svg>'
    )


def series_data(moments: Sequence[int], lines: Sequence[Line], precision: str) -> str:
    """Return the same lines as JSON, for the script that adds zoom and hover (static/series.js)."""
    series = {
        "at": [at // 1000 for at in moments],
        "precision": precision,
        "lines": [{"name": line.legend, "css": line.css, "values": line.values} for line in lines],
    }
    return json.dumps(series, separators=(",", ":"))


def hours_chart(title: str, lines: Sequence[Line]) -> Markup:
    """Return a bar of each line for each hour of the day. lines: two, of 24 values each."""
    most = max((value for line in lines for value in line.values), default=0) or 1
    parts = [f'<svg class="hours" viewBox="0 0 {24 * 20} 84" role="img" aria-label="{escape(title)}">']
    for hour in range(24):
        for place, line in enumerate(lines):
            height = 60 * line.values[hour] / most
            parts.append(
                f'<rect class="{escape(line.css)}" x="{hour * 20 + 2 + place * 8}" y="{62 - height:.1f}" '
                f'width="8" height="{height:.1f}">'
                f"<title>{hour:02}:00: {grouped(line.values[hour])} {escape(line.legend)}</title></rect>"
            )
        if hour % 3 == 0:
            parts.append(
                f'<text class="axis" x="{hour * 20 + 10}" y="78" text-anchor="middle">{hour:02}</text>'
            )
    return Markup("".join(parts) + "</svg>")  # noqa: S704 - every text in it was escaped above


def label(at_ms: int, precision: str) -> str:
    """Return what stands under a moment on the axis."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    if precision == "month":
        return day(moment, MONTH)
    return f"{moment:%H:%M}" if precision in ("hour", "1min", "5min", "15min") else day(moment, SHORT_DAY)


def _description(moments: Sequence[int], lines: Sequence[Line], precision: str) -> str:
    if not moments:
        return gettext("No values.")
    sentences = []
    for line in lines:
        most = max(line.values, default=0)
        at = label(moments[line.values.index(most)], precision) if most else ""
        given = {"line": line.legend, "sum": grouped(sum(line.values)), "at": at, "most": grouped(most)}
        if most:
            sentences.append(gettext("%(line)s: %(sum)s in all, most at %(at)s with %(most)s.", **given))
        else:
            sentences.append(gettext("%(line)s: %(sum)s in all.", **given))
    return " ".join([*sentences, gettext("The table below has every value.")])
