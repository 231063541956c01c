"""Space that is kept free for alerts: a file of zeros, given up piece by piece when the disk is full.

Piece by piece, because whoever filled the disk takes what is given up: a piece is what one commit needs, and the next
alert finds the next one. Decides nothing about who may have it; see outbox.
"""

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bondmate.durable import sync_directory
from bondmate.errors import StoreError, StoreTrouble
from bondmate.store.troubles import store_error

log = logging.getLogger(__name__)

T = TypeVar("T")

RESERVE_FILE = "reserve"
RESERVE_OCTETS = 2 << 20
"""The log of changes at its full length (256 pages, a good MiB), and room for some thousand alerts in the file."""
PIECE_OCTETS = 32 << 10
"""A commit of one record writes about ten pages of 4 KiB to the log: little of two pieces is left for others."""


class Reserve:
    """The file `reserve` in a directory. Its length is its state, so a restart in the middle loses nothing of it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RESERVE_FILE

    @property
    def spent(self) -> bool:
        """Whether some of it was given up; not true before it was first made. OSError."""
        size = self._size()
        return size is not None and size < RESERVE_OCTETS

    def spend(self, call: Callable[[], T]) -> T:
        """The call's result; each time it fails because the disk is full, a piece is given up and it is made again.

        Raises what the call raises; a full disk once nothing is left to give up.
        """
        while True:
            try:
                return call()
            except StoreError as error:
                if error.trouble is not StoreTrouble.FULL or not self._give_up_a_piece():
                    raise

    def fill(self) -> None:
        """Make it whole. Raises StoreError, FULL where the disk has not the room; what it has is taken all the same."""
        try:
            self._fill()
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise store_error(f"{self._path} cannot be made", error) from error
            # without a directory entry to spare there is no file at all
            have, free = self._size() or 0, shutil.disk_usage(self._path.parent).free
            raise StoreError(
                f"{self._path} has {have >> 10} KiB of the {RESERVE_OCTETS >> 10} KiB that are kept free for alerts,"
                f" and the disk has {free >> 10} KiB left",
                StoreTrouble.FULL,
            ) from error

    def _size(self) -> int | None:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return None

    def _fill(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size >= RESERVE_OCTETS:
                return
            try:
                for offset in range(size, RESERVE_OCTETS, PIECE_OCTETS):
                    _allocate(descriptor, offset, min(PIECE_OCTETS, RESERVE_OCTETS - offset))
            finally:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(self._path.parent)

    def _give_up_a_piece(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY)
        except OSError:
            return False
        try:
            size = os.fstat(descriptor).st_size
            if size == 0:
                return False
            left = max(0, size - PIECE_OCTETS)
            os.ftruncate(descriptor, left)
            # only then is the space free for certain
            os.fsync(descriptor)
        except OSError as error:
            log.critical("the disk is full, and nothing of %s can be given up for an alert: %s", self._path, error)
            return False
        finally:
            os.close(descriptor)
        log.critical(
            "the disk is full: of %s, kept free for alerts, %d KiB are left; free some space", self._path, left >> 10
        )
        return True


def _allocate(descriptor: int, offset: int, length: int) -> None:
    try:
        os.posix_fallocate(descriptor, offset, length)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
            raise
        # this file system knows nothing of it
        while length:
            written = os.pwrite(descriptor, bytes(length), offset)
            offset, length = offset + written, length - written
