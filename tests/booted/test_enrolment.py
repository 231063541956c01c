"""The first start of a card that was flashed and enrolled by the technician's commands."""

from bondmate_image import layout, slot_state
from tests.booted.conftest import CARD_OCTETS, Bench, Enrolled


def test_a_flashed_card_becomes_a_device_of_the_gateway(enrolled: Enrolled) -> None:
    assert enrolled.status["device"] == enrolled.device
    assert enrolled.at_gateway == "enrolled"
    assert enrolled.failed == ""


def test_the_file_is_gone_from_the_card(enrolled: Enrolled) -> None:
    assert (enrolled.had, enrolled.has) == (True, False), enrolled.journal


def test_it_is_not_looked_for_again(bench: Bench) -> None:
    assert bench.machine.run("ls -A /run/bondmate-enrolment") == ""
    assert bench.machine.run("systemctl is-active bondmate-erase") == "inactive"


def test_the_first_start_writes_where_it_may(enrolled: Enrolled) -> None:
    """The table once, for the data partition fills the card then; the boot partition, for the file is erased."""
    may = [
        (0, 512),
        *((offset, offset + slot_state.OCTETS) for offset in slot_state.OFFSETS),
        (layout.BOOT.start, layout.BOOT.start + layout.BOOT.size),
        (layout.DATA.start, CARD_OCTETS),
    ]
    written = [each for each in enrolled.writes if each.octets]
    assert [
        each for each in written if not any(start <= each.at and each.at + each.octets <= end for start, end in may)
    ] == []
