"""Check that only root can change a file, so that root may run what it says.

A policy is loaded before the filter becomes its own user. Whoever can write the file, the configuration that
names it, or a folder above them, could act as root.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def weakness(path: Path) -> str | None:
    """Return what lets others than root change or replace this file, with the remedy; None if nothing does.

    Raises OSError for a file or folder whose owner and mode cannot be read.
    """
    for each in _on_the_way(path):
        found = os.lstat(each)
        if found.st_uid != 0:
            return f"{each} belongs to another user than root (uid {found.st_uid}): chown root {each}"
        if stat.S_ISLNK(found.st_mode):
            continue  # its owner is root; the file that it leads to is checked too
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
            continue  # sticky, as /tmp: nobody else can replace root's file there
        if found.st_mode & stat.S_IWOTH:
            return f"{each} can be written by everybody: chmod o-w {each}"
        if found.st_mode & stat.S_IWGRP and found.st_gid != 0:
            return f"{each} can be written by group {found.st_gid}: chmod g-w {each}"
    return None


def _on_the_way(path: Path) -> Iterator[Path]:
    """Yield the file, each symbolic link on the way to it and all folders above any of them."""
    seen: set[Path] = set()
    waiting = [Path(os.path.abspath(path))]
    while waiting:
        for each in (here := waiting.pop(), *here.parents):
            if each in seen:
                continue
            seen.add(each)
            yield each
            if each.is_symlink():
                waiting.append(Path(os.path.abspath(each.parent / os.readlink(each))))
