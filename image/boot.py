"""A card's boot partition, without mounting it: the label, and the enrolment file that lies there.

By mtools, over the device that is claimed already: nobody else mounts it meanwhile.
"""

import contextlib
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from bondmate_image import targets
from bondmate_image.enrolment import MAX_OCTETS, NAME
from bondmate_image.errors import ImageError
from bondmate_image.targets import Target
from bondmate_image.writing import drop_cached

LABEL = "BONDMATE"

_MOST = 4 * MAX_OCTETS
"""Octets that any of the tools may answer: a directory's names, or one file."""

_SECTOR = 512
_FAT = frozenset({0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E})
"""Types of partitions in a master boot record that are FAT."""

_FLASH_FIRST = "Flash it first with 'bondmate-image flash'"


@dataclass(frozen=True, slots=True)
class Boot:
    """The boot partition of a card that is open: where it begins, in octets."""

    target: Target
    descriptor: int
    offset: int

    @property
    def _image(self) -> str:
        # The device that is open, whatever its name means by now.
        return f"/proc/self/fd/{self.descriptor}@@{self.offset}"

    def read(self) -> bytes | None:
        """Return the enrolment file, or None. ImageError when the file system is damaged; OSError."""
        names = _run(self, "mdir", "-b", "-i", self._image, "::").decode(errors="replace").lower().splitlines()
        if f"::/{NAME}" not in names:  # mdir writes nothing else for it, and FAT knows no case
            return None
        return _run(self, "mtype", "-i", self._image, f"::{NAME}")

    def write(self, file: bytes) -> None:
        """Put an enrolment file there, and read it back from the card. ImageError; OSError."""
        _run(self, "mcopy", "-o", "-i", self._image, "-", f"::{NAME}", given=file)
        drop_cached(self.descriptor)
        if self.read() != file:
            raise ImageError(
                "does not keep what is written, or is full. Flash it again; if this comes again, throw it away"
            )


@contextlib.contextmanager
def opened(target: Target) -> Iterator[Boot]:
    """Open a card and find its boot partition. ImageError when it has none, or is in use; OSError."""
    descriptor = targets.claim(target, os.O_RDWR)
    try:
        boot = Boot(target, descriptor, _offset(os.pread(descriptor, _SECTOR, 0)))
        drop_cached(descriptor)
        said = _run(boot, "mlabel", "-s", "-i", boot._image, "::").decode(errors="replace")  # noqa: SLF001 - its maker
        found = re.search(r"Volume label is (\S+)", said)
        if found is None or found[1] != LABEL:
            has = f"the label {found[1]}" if found else "no label"
            raise ImageError(f"has {has} on its first partition, and not {LABEL}. {_FLASH_FIRST}")
        yield boot
    finally:
        os.close(descriptor)


def _offset(record: bytes) -> int:
    """Return where the first partition of a master boot record begins, in octets."""
    if len(record) != _SECTOR or record[510:] != b"\x55\xaa":
        raise ImageError(f"has no partition table. {_FLASH_FIRST}")
    kind, start = struct.unpack_from("<4xB3xI", record, 446)
    if kind not in _FAT or start == 0:
        raise ImageError(f"has no FAT file system as its first partition. {_FLASH_FIRST}")
    return int(start) * _SECTOR


def _run(boot: Boot, *command: str, given: bytes = b"") -> bytes:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "MTOOLSRC": os.devnull}
    pipe = subprocess.PIPE
    try:
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, pass_fds=(boot.descriptor,), env=environment
            ) as running,
        ):
            into, out = cast("IO[bytes]", running.stdin), cast("IO[bytes]", running.stdout)
            with contextlib.suppress(BrokenPipeError):  # its exit code says why
                into.write(given)
                into.close()
            answer = out.read(_MOST + 1)
            if len(answer) > _MOST:
                running.kill()
                raise ImageError(f"has more on its boot partition than is believed. {_FLASH_FIRST}")
            if running.wait() == 0:
                return answer
            errors.seek(0)
            said = errors.read(_MOST).decode(errors="replace").strip().splitlines()[:1] or ["nothing"]
    except FileNotFoundError as error:
        raise ImageError(f"needs {command[0]} to be looked into. Install mtools") from error
    raise ImageError(f"could not be used; {command[0]} says: {said[0]}. {_FLASH_FIRST}")
