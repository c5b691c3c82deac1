"""The secret that opens the pages: made once, in a file that only its owner can read.

Not a person's password: 256 random bits, for whoever runs this machine. A new one ends all sessions.
"""

import os
import secrets
import stat
from pathlib import Path

_MODE = 0o600
_SHORTEST = 32  # characters; ours have 43


class TokenError(Exception):
    """The file cannot be used; the text says why, and what to do."""


def read_token(path: Path) -> str:
    """Return the token. Raises TokenError where there is none, or where others can read it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096).strip()
    except OSError as error:
        raise TokenError(f"{path}: {error.strerror}: `smtpapi web --url` makes the token's file") from error
    if stat.S_IMODE(mode) & 0o077:
        raise TokenError(
            f"{path}: others can read the token of the pages: `chmod 600 {path}`, "
            "then `smtpapi web --new-token`"
        )
    if len(text) < _SHORTEST or not text.isascii() or not text.decode("ascii").isprintable():
        raise TokenError(f"{path}: holds no token: `smtpapi web --new-token` writes one")
    return text.decode("ascii")


def token_of(path: Path) -> str:
    """Return the token; make it if there is no file yet. Raises TokenError."""
    if not path.exists():
        write_token(path, replace=False)
    return read_token(path)


def write_token(path: Path, replace: bool = True) -> None:
    """Put a new token into the file, whole or not at all. replace: False leaves one that is there meanwhile.

    Root gives the file to the owner of the folder, which is the user that the program runs as. Raises
    TokenError.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), _MODE)
                if os.geteuid() == 0:
                    owner = path.parent.stat()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.write(f"{secrets.token_urlsafe(32)}\n")
                file.flush()
                os.fsync(file.fileno())
            if replace:
                new.replace(path)
            else:
                os.link(new, path)
        except FileExistsError:
            return
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise TokenError(
            f"{path}: {error.strerror}: the folder must belong to the user that `smtpapi web` runs as; "
            "web.token_file names another place"
        ) from error
