"""One card: written, read back, and compared. It blocks; each card has a thread of its own."""

import contextlib
import errno
import fcntl
import functools
import hashlib
import mmap
import os
from collections.abc import Callable
from typing import Literal

from bondmate_image import targets
from bondmate_image.errors import ImageError
from bondmate_image.plan import PIECE, SECTOR, Piece, Plan
from bondmate_image.targets import Target

Phase = Literal["writing", "comparing"]

Tell = Callable[[Phase, int], None]
"""Called with how many octets of a phase are done, before and after each piece; what it raises ends the work."""

_BLKFLSBUF = 0x1261
_BLKRRPART = 0x125F
"""linux/fs.h."""

_SYNC_EVERY = 4 * PIECE
"""So that progress tells of the card, and not of this computer's memory, and so that a stop is not a long wait."""

_ALIGNED = 4096
"""What O_DIRECT asks of addresses and lengths, on every device that is made today."""


def flash(plan: Plan, target: Target, tell: Tell) -> None:
    """Write a card and compare it. Raises ImageError or OSError; the card is then not usable.

    The head, which has the partition table, is written when all else was compared: a card that was not finished has
    none, and neither boots nor is mounted by chance.
    """
    descriptor = targets.claim(target, os.O_RDWR)
    try:
        head, *others = plan.pieces
        _clear(descriptor)
        _write(plan, descriptor, others, functools.partial(tell, "writing"))
        _compare(plan, descriptor, others, functools.partial(tell, "comparing"))
        try:
            _write_piece(plan, descriptor, head)
            _sync(descriptor, head.offset)
            _compare(plan, descriptor, [head], lambda done: tell("comparing", plan.octets - head.length + done))
        except BaseException:
            with contextlib.suppress(OSError):  # the card that fails may be gone
                _clear(descriptor)
            raise
        if target.device:
            # For whoever looks at the partitions next; a reader that is busy does it when the card is put in again.
            with contextlib.suppress(OSError):
                fcntl.ioctl(descriptor, _BLKRRPART)
    finally:
        os.close(descriptor)


def drop_cached(descriptor: int) -> None:
    """Let the next reader see what the card has, and not what this computer remembers. OSError."""
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    with contextlib.suppress(OSError):  # a file has none
        fcntl.ioctl(descriptor, _BLKFLSBUF)


def _clear(descriptor: int) -> None:
    """Take the partition table away."""
    os.pwrite(descriptor, bytes(SECTOR), 0)
    os.fsync(descriptor)


def _write(plan: Plan, descriptor: int, pieces: list[Piece], tell: Callable[[int], None]) -> None:
    done = synced = 0
    tell(done)
    for piece in pieces:
        _write_piece(plan, descriptor, piece)
        done += piece.length
        if done - synced >= _SYNC_EVERY or piece is pieces[-1]:
            _sync(descriptor, piece.offset)
            synced = done
        tell(done)


def _write_piece(plan: Plan, descriptor: int, piece: Piece) -> None:
    data = os.pread(plan.descriptor, piece.length, piece.offset)
    written = 0
    while written < len(data):
        try:
            written += os.pwrite(descriptor, data[written:], piece.offset + written)
        except OSError as error:
            raise _failed("written", piece.offset + written, error) from error


def _sync(descriptor: int, offset: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _failed("written", offset, error) from error


def _compare(plan: Plan, descriptor: int, pieces: list[Piece], tell: Callable[[int], None]) -> None:
    drop_cached(descriptor)
    done = 0
    tell(done)
    # The same open device again, whatever its name means by now.
    again = _open_direct(f"/proc/self/fd/{descriptor}")
    try:
        with mmap.mmap(-1, PIECE) as buffer:
            for piece in pieces:
                data = _read(again, piece, buffer)
                if hashlib.sha256(data).digest() != piece.sha256:
                    raise _differs(plan, piece, data)
                done += piece.length
                tell(done)
    finally:
        os.close(again)


def _open_direct(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A file system without it, as one in memory: what was cached has been dropped.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _read(descriptor: int, piece: Piece, buffer: mmap.mmap) -> bytes:
    length = -(-piece.length // _ALIGNED) * _ALIGNED
    try:
        with memoryview(buffer)[:length] as room:
            count = os.preadv(descriptor, [room], piece.offset)
            return bytes(room[: min(count, piece.length)])
    except OSError as error:
        raise _failed("read back", piece.offset, error) from error


def _differs(plan: Plan, piece: Piece, data: bytes) -> ImageError:
    image = os.pread(plan.descriptor, piece.length, piece.offset)
    if hashlib.sha256(image).digest() != piece.sha256:
        return ImageError(f"{plan.image} was changed while it was written. Leave it alone, and flash this card again")
    at = next((at for at, (have, want) in enumerate(zip(data, image, strict=False)) if have != want), len(data))
    return ImageError(
        f"differs from the image at octet {piece.offset + at}: it does not keep what is written. Throw the card away"
    )


def _failed(what: str, offset: int, error: OSError) -> ImageError:
    return ImageError(
        f"could not be {what} at octet {offset}: {error.strerror}. Try another reader; if it fails again,"
        " throw the card away"
    )
