"""A battery as Linux shows one: a directory with the files of a power supply. It discharges only when somebody says so.

Source of names and units: Documentation/ABI/testing/sysfs-class-power.
"""

import os
from pathlib import Path

from bondmate_sim.errors import SimulatorError

EMPTY_UV, FULL_UV = 3_300_000, 4_200_000
"""Of a lithium cell, at rest; between them we draw a straight line."""
NEW_PERCENT = 87


def set_battery(directory: Path, *, percent: int | None, charging: bool) -> int:
    """Write it, made if need be; each file whole or not at all. Returns the percentage: `percent`, or as it was.

    Raises SimulatorError when it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        now = _percent(directory) if percent is None else percent
        status = "Discharging" if not charging else "Full" if now == 100 else "Charging"
        voltage_uv = EMPTY_UV + (FULL_UV - EMPTY_UV) * now // 100
        for name, value in (("type", "Battery"), ("capacity", now), ("status", status), ("voltage_now", voltage_uv)):
            part = directory / f".{name}.part"
            part.write_text(f"{value}\n", encoding="ascii")
            os.replace(part, directory / name)  # noqa: PTH105 - the same, and says that it is atomic
    except OSError as error:
        raise SimulatorError(f"cannot write the battery {directory}: {error.strerror}") from error
    return now


def _percent(directory: Path) -> int:
    file = directory / "capacity"
    try:
        return int(file.read_text(encoding="ascii")) if file.exists() else NEW_PERCENT
    except ValueError:
        raise SimulatorError(f"{file} holds no percentage; give one with --percent") from None
