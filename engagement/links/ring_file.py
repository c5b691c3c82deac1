"""The key ring's file: reading it, replacing it as a whole, following its changes.

Not the ring itself (`keys`). Invariants: a file that others may read is refused, as it holds secrets; of
root's file, and the cluster's, a group may be readers (docs/decisions/0030-users.md). A new file is complete
on disk, with its mode and owner, before it takes the old one's name.
"""

import fcntl
import os
import pwd
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from engagement.links.keys import Ring, RingError

SHARED_MODE: Final = 0o640  # of root's ring, for the group that may read it
CLUSTER_USER: Final = "smtpapi-cluster"  # of the program that keeps hosts' rings the same, and nothing else

_MAX_SIZE = 1 << 23  # bytes; all 65535 keys take 7 MB
_RECHECK = 1.0  # seconds between two checks of the file: a new key is used a second after `keys rotate`


def load_ring(path: Path) -> Ring:
    """Return the ring in a file. Raises RingError that says what is wrong with the file and what to do."""
    ring, _ = _load(path)
    return ring


_Stamp = tuple[int, int, int, int]


def _stamp(status: os.stat_result) -> _Stamp:
    # The time of change besides that of writing: it also changes with a mended mode or owner.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


def _load(path: Path) -> tuple[Ring, _Stamp]:
    try:
        # O_NONBLOCK: opening a FIFO by mistake must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)  # of the file that was opened: another one may have its name by now
            _refuse_unsafe(path, status)
            content = _read(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise RingError(f"{path}: no such file; make a ring with `smtpapi keys init --ring {path}`") from None
    except OSError as error:
        raise RingError(f"{path}: cannot read the key ring: {error.strerror}") from None
    if len(content) > _MAX_SIZE:
        raise RingError(f"{path}: larger than {_MAX_SIZE} bytes; this is no key ring")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise RingError(f"{path}: not a text file; this is no key ring") from None
    return Ring.parse(text, str(path)), _stamp(status)


def _refuse_unsafe(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RingError(f"{path}: not a regular file; the key ring must be one")
    # A group may read what is root's: filter and tracker have users of their own, and neither may change it.
    allowed = SHARED_MODE if may_be_shared(status.st_uid) else 0o600
    if status.st_mode & 0o077 & ~allowed:
        raise RingError(
            f"{path}: others may read or write the key ring (mode {stat.S_IMODE(status.st_mode):04o});"
            f" run `chmod 600 {path}`, and rotate the keys if strangers had access"
        )


def may_be_shared(owner: int) -> bool:
    """Return whether a group may read a ring of this owner: no program that uses it runs under that user."""
    if owner == 0:
        return True
    if owner == _overflow_uid():
        # With PrivateUsers= a unit sees root, itself, and all others as this one (user_namespaces(7)).
        return os.geteuid() not in (0, owner)
    try:
        return pwd.getpwuid(owner).pw_name == CLUSTER_USER
    except KeyError:
        return False


def _overflow_uid() -> int:
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text("ascii"))
    except (OSError, ValueError):
        return 65534  # the kernel's own default


def _read(descriptor: int) -> bytes:
    content = b""
    while len(content) <= _MAX_SIZE and (piece := os.read(descriptor, _MAX_SIZE + 1)):
        content += piece
    return content


def save_ring(path: Path, ring: Ring, *, new: bool = False) -> None:
    """Replace the ring's file as a whole; it is on disk when this returns.

    new: write only where there is no file of that name yet; its mode is 0600. Owner, group and mode of a
    replaced file stay as they were: root may rotate the keys of a service. A symbolic link stays one; the
    file it leads to is replaced. Raises RingError for a file that cannot be written, or with `new` is there
    already.
    """
    target = Path(os.path.realpath(path))
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
        try:
            _write(descriptor, ring.dump().encode("utf-8"), like=target)
            if new:
                os.link(beside, target)
                os.unlink(beside)
            else:
                os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
        _sync_directory(target.parent)
    except FileExistsError:
        raise RingError(f"{path}: there is a key ring already; links in mail already sent need it") from None
    except OSError as error:
        raise RingError(f"{path}: cannot write the key ring: {error.strerror}") from None


def _write(descriptor: int, content: bytes, like: Path) -> None:
    with open(descriptor, "wb") as file:
        with suppress(FileNotFoundError):
            old, new = like.stat(), os.fstat(descriptor)
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            if may_be_shared(old.st_uid):
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & SHARED_MODE)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def edit_ring(path: Path, change: Callable[[Ring], Ring]) -> Ring:
    """Read, change and save a ring, and return it. Edits of several processes take turns.

    Raises RingError for a file that cannot be read, changed or written.
    """
    directory = os.path.dirname(os.path.realpath(path))
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RingError(f"{path}: cannot open its directory: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ring = change(load_ring(path))
        save_ring(path, ring)
    finally:
        os.close(lock)
    return ring


class RingFile:
    """A ring that follows its file; safe to share between threads.

    known: a ring read before, to be used while the file cannot be read. Without one, making a RingFile raises
    RingError for a file that cannot be read. Later such a file changes nothing: the ring read last stays in
    use, `last_error` says why (None when all is well), and `report` is called once for each new fault. A new
    ring that lacks keys of the one before is used, and reported.
    """

    def __init__(
        self,
        path: Path,
        report: Callable[[RingError], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        known: Ring | None = None,
    ) -> None:
        self.path = path
        self.last_error: RingError | None = None
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: _Stamp | None = None
        if known is None:
            self._ring, self._seen = _load(path)
        else:
            self._ring = known
            self._reload(None)
        self._due = clock() + _RECHECK

    def current(self) -> Ring:
        """Return the ring to use now. The file is checked at most once a second."""
        if self._clock() >= self._due:
            self._check(again=True)
        return self._ring

    def refreshed(self) -> Ring:
        """Return the ring after checking the file now: for a link whose key id is not known yet.

        It costs one stat while the file stays as it was, so forged links cost no more than that.
        """
        self._check(again=False)
        return self._ring

    def _check(self, *, again: bool) -> None:
        """Load the file if it changed. again: also if it did not, but could not be loaded the last time."""
        if not self._lock.acquire(blocking=False):
            return  # another thread checks at this moment
        try:
            if again:
                self._due = self._clock() + _RECHECK
            try:
                stamp = _stamp(os.stat(self.path))
            except OSError:
                stamp = None  # `_load` says why
            if stamp != self._seen or (again and self.last_error is not None):
                self._reload(stamp)
        finally:
            self._lock.release()

    def _reload(self, stamp: _Stamp | None) -> None:
        try:
            ring, self._seen = _load(self.path)
        except RingError as error:
            self._seen = stamp
            known = self.last_error is not None and str(self.last_error) == str(error)
            self.last_error = error
            if not known:
                self._say(error)
            return
        self.last_error = None
        there = {key.id for key in ring.keys}
        gone = [str(key.id) for key in self._ring.keys if key.id not in there]
        self._ring = ring
        if gone:
            self._say(
                RingError(
                    f"{self.path}: keys that were in the ring are gone: {', '.join(gone)}; put their lines"
                    " back from a backup, or all links sealed with them stay dead"
                )
            )

    def _say(self, error: RingError) -> None:
        if self._report is not None:
            self._report(error)
