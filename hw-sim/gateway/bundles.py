"""Bundles of software that devices are updated by: a file each in the data directory, and what is known of it.

What a bundle holds, and whether it is signed, the device alone decides: it is octets here.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondmate_sim.gateway import files
from bondmate_sim.gateway.database import Database

MAX_OCTETS = 2**30
"""docs/protocol.md, section 10."""

MAX_BUNDLES = 16
"""A force steps its devices through a few versions; whoever adds more forgot to remove some."""

SUFFIX = ".raucb"
_DIRECTORY = "bundles"
_CHUNK_OCTETS = 1 << 20
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}", re.ASCII)


class BundleError(Exception):
    """A bundle cannot be added, found or removed; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that is registered: size in octets, SHA-256, and when it was added (UTC in ms)."""

    version: str
    octets: int
    sha256: bytes
    added_ms: int

    @property
    def name(self) -> str:
        """The last part of its URL."""
        return self.version + SUFFIX


def is_version(text: str) -> bool:
    """Say whether a version can be a bundle's here: it is the name of a file, too."""
    return _VERSION.fullmatch(text) is not None


def path(data_dir: Path, bundle: Bundle) -> Path:
    """Return where a bundle's file is."""
    return data_dir / _DIRECTORY / bundle.name


def add(database: Database, data_dir: Path, file: Path, version: str, now_ms: int) -> Bundle:
    """Copy a file into the data directory, and register it; the same again changes nothing.

    Raises BundleError, apsw.Error, OSError.
    """
    _room(database, version)
    directory = data_dir / _DIRECTORY
    files.make_directory(directory)
    with files.locked(directory):
        _tidy(database, directory)
        descriptor, name = tempfile.mkstemp(prefix=".adding.", dir=directory)
        try:
            octets, sha256 = _copy(file, descriptor)
            return _register(database, Path(name), Bundle(version, octets, sha256, now_ms), data_dir)
        finally:
            Path(name).unlink(missing_ok=True)


def find(database: Database, version: str) -> Bundle | None:
    """Return the bundle of a version, or None. Raises apsw.Error."""
    found = database.rows(f"{_SELECT} WHERE version = ?", (version,))
    return Bundle(*found[0]) if found else None


def present(database: Database, version: str) -> Bundle:
    """Return the bundle of a version. Raises BundleError, apsw.Error."""
    found = find(database, version)
    if found is None:
        raise BundleError(f"no bundle of {version} is here; 'bondmate-gateway bundle list' shows those that are")
    return found


def every(database: Database) -> Sequence[Bundle]:
    """Return all bundles, the oldest first. Raises apsw.Error."""
    return [Bundle(*row) for row in database.rows(f"{_SELECT} ORDER BY added_ms, version")]


def forget(database: Database, version: str) -> None:
    """Register a bundle no more; call it inside a transaction. Raises apsw.Error."""
    database.rows("DELETE FROM bundle WHERE version = ?", (version,))


_SELECT = "SELECT version, octets, sha256, added_ms FROM bundle"


def _room(database: Database, version: str) -> Bundle | None:
    """Return the bundle of a version that is here already. Raises BundleError when there is no room for another."""
    known = find(database, version)
    if known is None and len(every(database)) >= MAX_BUNDLES:
        raise BundleError(f"{MAX_BUNDLES} bundles are here; 'bondmate-gateway bundle remove VERSION' makes room")
    return known


def _tidy(database: Database, directory: Path) -> None:
    """Remove what a crash left: half a copy, or a file that was just to be removed."""
    known = {each.name for each in every(database)}
    for left in directory.iterdir():
        if left.name not in known:
            left.unlink()


def _register(database: Database, copied: Path, made: Bundle, data_dir: Path) -> Bundle:
    with database.transaction():
        known = _room(database, made.version)
        if known is not None:
            if known.sha256 != made.sha256:
                raise BundleError(
                    f"another bundle of {made.version} is here already; give this one a version of its own, or"
                    f" 'bondmate-gateway bundle remove {made.version}'"
                )
            return known
        copied.replace(path(data_dir, made))
        files.sync_directory(copied.parent)
        database.rows("INSERT INTO bundle VALUES (?, ?, ?, ?)", (made.version, made.octets, made.sha256, made.added_ms))
    return made


def _copy(file: Path, descriptor: int) -> tuple[int, bytes]:
    digest: Any = hashlib.sha256()
    octets = 0
    with os.fdopen(descriptor, "wb") as copied:
        try:
            with file.open("rb") as source:
                while chunk := source.read(_CHUNK_OCTETS):
                    octets += len(chunk)
                    if octets > MAX_OCTETS:
                        break
                    digest.update(chunk)
                    copied.write(chunk)
        except OSError as error:
            raise BundleError(f"cannot read the bundle or write its copy: {error}") from error
        if not 1 <= octets <= MAX_OCTETS:
            raise BundleError(f"{file} is no bundle: one has 1 to {MAX_OCTETS} octets")
        copied.flush()
        os.fsync(copied.fileno())
    return octets, digest.digest()
