"""The end of a device's life at a force, on its disk (docs/protocol.md, section 10, Wipe). All of this blocks.

    wiping       the mark: made when the gateway has all that is owed to it, and never before
    (nothing)    keys first, then all else; the mark goes last

As long as the mark is there the device is not armed, and every start goes on with it: nothing but the mark decides.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from bondmate import network
from bondmate.credentials import CREDENTIALS_FILE
from bondmate.durable import replace_file, sync_directory
from bondmate.identity import PENDING_FILE, erase
from bondmate.network import NETWORK_FILE, Network
from bondmate.officer_pin import PIN_FILE
from bondmate.running import LAST_GOOD_FILE
from bondmate.session import COUNTER_FILE
from bondmate.store.database import DATABASE_FILE
from bondmate.store.reserve import RESERVE_FILE
from bondmate.ways import PIN_MEMORY_FILE

log = logging.getLogger(__name__)

MARK_FILE = "wiping"
_KEYS = (CREDENTIALS_FILE, PENDING_FILE, network.PIN_FILE, PIN_FILE)
_DATABASES = (DATABASE_FILE, f"{DATABASE_FILE}-*", f"{DATABASE_FILE}.damaged-*")
_STATE = (COUNTER_FILE, PIN_MEMORY_FILE)


def mark(credentials_dir: Path, enrolment_file: Path | None = None) -> None:
    """From here on the device is wiped, whatever happens. Durable when this returns. OSError.

    `enrolment_file` goes before it: an armed device has no use for one, and what is there behind the mark is new.
    """
    if enrolment_file is not None:
        try:
            erase(enrolment_file)
        except OSError as error:
            log.warning("the enrolment file that was used cannot be erased; the gateway refuses it: %s", error)
    replace_file(credentials_dir / MARK_FILE, b"")


def is_marked(credentials_dir: Path) -> bool:
    """Whether the device is being wiped. False where that cannot be looked at: then there are no keys to be read."""
    try:
        return (credentials_dir / MARK_FILE).exists()
    except OSError:
        return False


def finish(credentials_dir: Path, state_dir: Path, *, last_good: bool) -> None:
    """Erase all that the device stored, if the mark is there, and then the mark. OSError: then the mark is there yet.

    `last_good`: also the configuration that worked last; not where the device runs with it, for want of a better one.
    """
    if not is_marked(credentials_dir):
        return
    for name in _KEYS:
        _erase(credentials_dir / name)
    _erase_networks(credentials_dir)
    if not state_dir.is_dir():
        raise FileNotFoundError(2, "it is not there: the disk with the device's state is not mounted", str(state_dir))
    for pattern in _DATABASES:
        for path in sorted(state_dir.glob(pattern)):
            _erase(path)
    for name in (*_STATE, LAST_GOOD_FILE) if last_good else _STATE:
        _erase(state_dir / name)
    (state_dir / RESERVE_FILE).unlink(missing_ok=True)  # zeros, and large
    sync_directory(state_dir)
    (credentials_dir / MARK_FILE).unlink(missing_ok=True)
    sync_directory(credentials_dir)
    log.warning("wiped: the device can be enrolled anew")


def _erase(path: Path) -> None:
    """Also what was to become this file, when the power went."""
    for each in (path, path.with_name(path.name + ".part")):
        try:
            erase(each, most=None)
        except PermissionError:
            # somebody else put it there; the directory is ours
            each.unlink(missing_ok=True)
            sync_directory(each.parent)


def _erase_networks(directory: Path) -> None:
    """Leave a file without networks: whoever makes Wi-Fi profiles of it takes away those of before."""
    path = directory / NETWORK_FILE
    with _opened(path) as descriptor:
        network.keep(Network(), directory)
        if descriptor is not None:
            os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
            os.fsync(descriptor)
    _erase(path.with_name(path.name + ".part"))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """What is there now, to be overwritten when another file is in its place; None where there is nothing to write."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
