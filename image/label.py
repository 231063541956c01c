"""What stands on a device's label, and how a sheet of labels gets printed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bondmate_image.errors import ImageError


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on one: the device, a day, and its key's fingerprint where it has a key."""

    device: str
    day_s: int | None
    """UTC, as any of its seconds since 1970: when it was enrolled, or its file made; None while it waits."""

    fingerprint: str | None


def qr_text(label: Label) -> str:
    """Return what a scanner reads: the device, and behind a blank the fingerprint. Never a secret."""
    return label.device if label.fingerprint is None else f"{label.device} {label.fingerprint}"


def printer(path: Path) -> Callable[[Sequence[Label]], str]:
    """Return what prints at least one label into `path`, and then says what it did. ImageError where it could not."""
    try:
        from bondmate_image import sheet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImageError("labels need two packages more: install bondmate with the extra 'image'") from error
    if not os.access(path.parent, os.W_OK):
        raise ImageError(f"{path.parent} is no directory that you may write to. Name another file for the labels")

    def write(labels: Sequence[Label]) -> str:
        path.write_bytes(sheet.pdf(labels))
        return f"{path}  {len(labels)} label{'s' if len(labels) > 1 else ''}"

    return write
