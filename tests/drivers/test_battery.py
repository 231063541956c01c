"""The battery's files, also those that are not there, lie, or hang."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bondmate.drivers import battery
from bondmate.drivers.battery import SILENT_AFTER, PowerSupply
from tests.eventually import eventually, running

Reading = tuple[int | None, bool | None]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(battery, "READ_EVERY_S", 0.01)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A `capacity` that hangs whoever opens it, until the test is over."""
    path = tmp_path / "capacity"
    os.mkfifo(path)
    yield path
    if path.is_fifo():
        os.close(os.open(path, os.O_RDWR))


def supply(directory: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def read(directory: Path, until: Callable[[PowerSupply, list[Reading]], Any]) -> list[Reading]:
    """What was told until then."""

    async def main() -> list[Reading]:
        told: list[Reading] = []
        power = PowerSupply(directory, lambda percent, charging: told.append((percent, charging)))
        async with running(power.run()):
            await eventually(lambda: until(power, told), "the battery")
        return told

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "charging"),
    [("Charging", True), ("Full", True), ("Discharging", False), ("Not charging", False), ("Unknown", None)],
)
def test_percent_and_charger_are_told_as_the_kernel_s_words_say(
    tmp_path: Path, status: str, charging: bool | None
) -> None:
    supply(tmp_path, capacity="87\n", status=f"{status}\n", voltage_now="3912000\n")
    assert read(tmp_path, lambda _, told: told)[0] == (87, charging)


@pytest.mark.parametrize(
    "capacity", ["", "-1\n", "101\n", "87.5\n", "²\n", "eighty\n", b"\xff\xfe", "9" * 200_000], ids=repr
)
def test_what_is_no_percentage_is_unknown_and_the_rest_is_told(tmp_path: Path, capacity: str | bytes) -> None:
    supply(tmp_path, capacity=capacity, status="Charging\n")
    assert read(tmp_path, lambda _, told: told)[0] == (None, True)


def test_files_that_are_not_there_are_unknown(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere", lambda _, told: told)[0] == (None, None)
    supply(tmp_path, capacity="5\n")
    assert read(tmp_path, lambda _, told: told)[0] == (5, None)


def test_a_file_without_end_fills_no_memory(tmp_path: Path) -> None:
    (tmp_path / "capacity").symlink_to("/dev/zero")
    assert read(tmp_path, lambda _, told: told)[0] == (None, None)


def test_a_battery_that_says_nothing_is_a_fault_after_some_time_and_none_as_soon_as_it_speaks(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def silent(power: PowerSupply, told: list[Reading]) -> bool:
        if power.faults() and "silent" not in seen:
            seen["silent"] = len(told)
            [fault] = power.faults()
            assert fault.code == "battery-silent"
            assert str(tmp_path) in fault.text
            supply(tmp_path, capacity="50\n", status="Discharging\n")
        return "silent" in seen and not power.faults()

    told = read(tmp_path, silent)
    assert seen["silent"] == SILENT_AFTER
    assert told[:SILENT_AFTER] == [(None, None)] * SILENT_AFTER
    assert told[-1] == (50, False)


def test_a_read_that_hangs_is_unknown_and_no_second_is_begun(
    tmp_path: Path, fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battery, "READ_S", 0.05)
    threads = set()

    def silent(power: PowerSupply, _told: list[Reading]) -> bool:
        threads.add(power._thread)
        return bool(power.faults())

    told = read(tmp_path, silent)
    assert told == [(None, None)] * SILENT_AFTER
    assert len(threads - {None}) == 1


def test_a_battery_that_hung_is_read_again_when_it_answers(
    tmp_path: Path, fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battery, "READ_S", 0.05)

    def released(_power: PowerSupply, told: list[Reading]) -> bool:
        if told and fifo.is_fifo():
            end = os.open(fifo, os.O_RDWR)
            os.write(end, b"12\n")
            fifo.unlink()
            supply(tmp_path, capacity="12\n", status="Discharging\n")
            os.close(end)
        return told[-1:] == [(12, False)]

    assert read(tmp_path, released)[0] == (None, None)


def test_an_end_while_a_read_hangs_waits_for_nothing(tmp_path: Path, fifo: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        power = PowerSupply(tmp_path, lambda *_: None)
        async with running(power.run()):
            await eventually(lambda: power._thread is not None, "the read")
            before = loop.time()
        assert loop.time() - before < 1

    asyncio.run(main())
