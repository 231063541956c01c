from pathlib import Path

import pytest

from bondmate_sim.battery import set_battery
from bondmate_sim.errors import SimulatorError


def files(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in directory.iterdir()}


@pytest.mark.parametrize(
    ("percent", "charging", "status", "voltage_uv"),
    [
        (0, False, "Discharging", 3_300_000), (100, False, "Discharging", 4_200_000), (50, True, "Charging", 3_750_000),
        (100, True, "Full", 4_200_000),
    ],
)  # fmt: skip
def test_it_looks_like_the_kernel_s(tmp_path: Path, percent: int, charging: bool, status: str, voltage_uv: int) -> None:
    directory = tmp_path / "new" / "battery"
    assert set_battery(directory, percent=percent, charging=charging) == percent
    assert files(directory) == {
        "type": "Battery\n",
        "capacity": f"{percent}\n",
        "status": f"{status}\n",
        "voltage_now": f"{voltage_uv}\n",
    }, "and nothing half-written is left"


def test_without_a_percentage_it_stays_as_full_as_it_was(tmp_path: Path) -> None:
    assert set_battery(tmp_path, percent=None, charging=False) == 87, "a new one"
    set_battery(tmp_path, percent=12, charging=False)
    assert set_battery(tmp_path, percent=None, charging=True) == 12
    assert files(tmp_path)["status"] == "Charging\n"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    set_battery(tmp_path, percent=100, charging=False)
    with (tmp_path / "capacity").open() as opened:
        set_battery(tmp_path, percent=7, charging=False)
        assert opened.read() == "100\n", "the old file, whole"
    assert (tmp_path / "capacity").read_text() == "7\n"


def test_what_cannot_be_written_or_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SimulatorError, match=r"cannot write the battery .*/file"):
        set_battery(tmp_path / "file", percent=1, charging=False)
    (tmp_path / "capacity").write_text("lots")
    with pytest.raises(SimulatorError, match=r"capacity holds no percentage; give one with --percent"):
        set_battery(tmp_path, percent=None, charging=False)
