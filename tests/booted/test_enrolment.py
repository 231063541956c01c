"""The first start of a card that was flashed and enrolled by the technician's commands."""

from bondmate_image import layout
from tests.booted import writes
from tests.booted.conftest import MAY_BE_WRITTEN, PAGE, Bench, Enrolled


def test_a_flashed_card_becomes_a_device_of_the_gateway(enrolled: Enrolled) -> None:
    assert enrolled.status["device"] == enrolled.device
    assert enrolled.at_gateway == "enrolled"
    assert enrolled.failed == ""


def test_the_file_is_gone_from_the_card(enrolled: Enrolled) -> None:
    assert (enrolled.had, enrolled.has) == (True, False), enrolled.journal


def test_data_stays_mounted(enrolled: Enrolled) -> None:
    """Though its partition has just been grown, and udev tells of it anew."""
    assert "Unmounting data.mount" not in enrolled.journal, enrolled.journal


def test_it_is_not_looked_for_again(bench: Bench) -> None:
    assert bench.machine.run("ls -A /run/bondmate-enrolment") == ""
    assert bench.machine.run("systemctl is-active bondmate-erase") == "inactive"


def test_the_first_start_writes_where_it_may(enrolled: Enrolled) -> None:
    """The table once, for the data partition fills the card then; the boot partition, for the file is erased."""
    boot = (layout.BOOT.start, layout.BOOT.start + layout.BOOT.size)
    assert writes.elsewhere(enrolled.writes, *MAY_BE_WRITTEN, (0, PAGE), boot) == []
