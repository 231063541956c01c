"""What is the matter with the disk, from what SQLite and the operating system say of it.

Decides nothing: docs/reliability.md says what the device does about each trouble.
"""

import errno

import apsw

from bondmate.errors import StoreError, StoreTrouble

_BY_ERRNO = {
    errno.ENOSPC: StoreTrouble.FULL,
    errno.EDQUOT: StoreTrouble.FULL,
    errno.EROFS: StoreTrouble.READ_ONLY,
    errno.EACCES: StoreTrouble.READ_ONLY,
    errno.EPERM: StoreTrouble.READ_ONLY,
    errno.EIO: StoreTrouble.IO,
    errno.ENXIO: StoreTrouble.IO,
    errno.ENODEV: StoreTrouble.IO,
}

_DAMAGE = {apsw.SQLITE_CONSTRAINT_NOTNULL, apsw.SQLITE_CONSTRAINT_DATATYPE}
"""Only what the disk has changed breaks these: what is written is of the right types."""


def trouble_of(error: Exception, system_errno: int = 0) -> StoreTrouble:
    """Which trouble an exception of apsw or an OSError tells of.

    `system_errno` is the connection's; only for apsw.IOError and apsw.CantOpenError does SQLite set it. The statements
    are fixed, so what one is an error in (apsw.SQLError) is a file without its tables; text that is no text is damage.
    """
    if isinstance(error, apsw.FullError):
        return StoreTrouble.FULL
    if isinstance(error, apsw.ReadOnlyError):
        return StoreTrouble.READ_ONLY
    if isinstance(error, apsw.NotADBError | apsw.CorruptError | apsw.SQLError | UnicodeDecodeError):
        return StoreTrouble.DAMAGED
    if isinstance(error, apsw.ConstraintError) and getattr(error, "extendedresult", 0) in _DAMAGE:
        return StoreTrouble.DAMAGED
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, StoreTrouble.OTHER)
    if isinstance(error, apsw.IOError):
        return _BY_ERRNO.get(system_errno, StoreTrouble.IO)
    if isinstance(error, apsw.CantOpenError):
        return _BY_ERRNO.get(system_errno, StoreTrouble.OTHER)
    return StoreTrouble.OTHER


def store_error(what: str, error: Exception, system_errno: int = 0) -> StoreError:
    """The error to raise: what failed, and why; what to do next is for those to say who know the whole device."""
    return StoreError(f"{what}: {error}", trouble_of(error, system_errno))
