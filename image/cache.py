"""Stages that are made once: each result is a folder in the user's cache, named by the hash of what went into it."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bondmate_image import progress

_KEPT = 3
"""How many results of one stage are kept: a few hundred megabytes each."""


def standard_directory() -> Path:
    """Return the user's folder for it (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bondmate-image"


def key(inputs: Sequence[str | bytes]) -> str:
    """Return the hash of inputs: other inputs, or the same ones divided in another way, give another."""
    digest = hashlib.sha256()
    for each in inputs:
        octets = each.encode() if isinstance(each, str) else each
        digest.update(len(octets).to_bytes(8, "big") + octets)
    return digest.hexdigest()[:20]


def tree(directory: Path) -> bytes:
    """Return what a folder holds, as one input: names, links, modes as git keeps them, and contents."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if "__pycache__" in path.parts or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink():
            mode, content = "link", os.fsencode(path.readlink())
        else:
            mode, content = ("executable" if os.access(path, os.X_OK) else "file"), path.read_bytes()
        digest.update(key([str(path.relative_to(directory)), mode, content]).encode())
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Cache:
    """The results under one folder."""

    directory: Path

    def stage(self, name: str, what: str, inputs: Sequence[str | bytes], make: Callable[[Path], None]) -> Path:
        """Return the folder that `make` filled from these inputs, now or earlier.

        `make` is given an empty folder. If it raises, nothing is kept. Another process that makes the same waits.
        """
        made = self.directory / f"{name}-{key(inputs)}"
        with self._lock(name):
            if made.is_dir():
                progress.say(f"{name}: cached")
                os.utime(made)
                return made
            part = made.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                with progress.stage(name, what):
                    make(part)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            part.rename(made)
            self._forget(name)
        return made

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _forget(self, name: str) -> None:
        found = [path for path in self.directory.glob(f"{name}-*") if path.is_dir()]
        for path in sorted(found, key=lambda each: each.stat().st_mtime)[:-_KEPT]:
            shutil.rmtree(path, ignore_errors=True)
