"""Small files that survive a power cut: the old content or the new, never a torn one."""

import fcntl
import os
from pathlib import Path


def replace_file(path: Path, data: bytes, owner: os.stat_result | None = None) -> None:
    """Write `data` (mode 0600) beside `path`, make it durable, and put it in the place of `path`. OSError.

    `owner` says whose it shall be. Whoever may write in the directory cannot have another file written, or given away:
    what stands in the place of the new file is removed, and never followed.
    """
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if owner is not None:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable: a new file's bytes are of no use without its name. OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_directory(directory: Path) -> int:
    """Claim a directory for this process until it ends; returns the descriptor that holds the claim.

    Raises BlockingIOError when another process has it. Works on a read-only file system too.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
