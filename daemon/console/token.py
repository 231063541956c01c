"""The token that lets the kiosk's browser in: made once, kept in a file, handed over in a page for it alone."""

import base64
import logging
import os
import secrets
import stat
from pathlib import Path

log = logging.getLogger(__name__)

TOKEN_FILE, KIOSK_FILE = "token", "kiosk.html"
TOKEN_OCTETS = 32
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MAX_FILE_OCTETS = 256
_KIOSK_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={address}">
<title>BondMate</title>
"""


def load(runtime_dir: Path) -> str:
    """The token of this runtime directory, made if there is none that can be trusted. Raises OSError.

    It outlives the process, so that a console that is started again knows the browser that is already in.
    """
    path = runtime_dir / TOKEN_FILE
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning(
            "%s is not used (%s): a new token is made, and the kiosk's browser has to be started again", path, error
        )
    token = _text(secrets.token_bytes(TOKEN_OCTETS))
    _write(path, token)
    return token


def write_kiosk_page(runtime_dir: Path, origin: str, token: str) -> None:
    """Write the page that sends the kiosk's browser to the console. Raises OSError.

    The token stands behind the `#`: a browser sends that to nobody, and it is on no command line.
    """
    _write(runtime_dir / KIOSK_FILE, _KIOSK_PAGE.format(address=f"{origin}/#{token}"))


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, encoding="ascii") as file:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & _OPEN_TO_OTHERS or not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not this user's alone")
        token = file.read(_MAX_FILE_OCTETS)
    octets = base64.b64decode(token + "=", altchars=b"-_", validate=True)
    if len(octets) != TOKEN_OCTETS or _text(octets) != token:
        raise ValueError("it is no token")
    return token


def _write(path: Path, text: str) -> None:
    """At once or not at all, and never open to others, whatever the umask."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    fresh.rename(path)


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
