"""The power goes behind each write of the first start of a flashed and enrolled card: the device can go on.

It has its credentials, or the card has the enrolment file still. QEMU keeps what the board writes, and the cuts are
made from that: the board itself runs through.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bondmate_image import layout
from bondmate_image.enrolment import NAME
from tests.booted import judge, writes
from tests.booted.conftest import CARD_OCTETS, Enrolled, Image

PENDING, CREDENTIALS = "pending.json", "credentials.json"
KEYS = "signing_key", "dh_key"
GOES_ON_BY = {NAME, CREDENTIALS}
FORGETFUL_CUTS = 8
SEED = 7


@dataclass(frozen=True, slots=True)
class Ends:
    """What a card had before its first start, and has behind it: in between it is on the way from one to the other."""

    image: Image
    boot: dict[str, bytes]
    credentials: bytes

    def identity(self, card: Path) -> set[str]:
        """Return which files of its identity a device finds on a card; AssertionError if it could not be started.

        Also if one in the data partition is torn, for there each is put in its place as a whole. The enrolment file is
        overwritten where it is: a part of it is none.
        """
        assert judge.to_be_tried(card) == ["A", "B"]
        *others, (kind, start, size) = judge.table(card)
        assert others == [(each.kind, each.start, each.size) for each in layout.PARTITIONS[:-1]]
        assert (kind, start) == (layout.DATA.kind, layout.DATA.start)
        # a start has it fill the card before it looks at the file system: so that may be larger
        assert size in {layout.DATA.size, CARD_OCTETS - layout.DATA.start}
        boot = judge.boot(self.image.tools, card)
        assert boot | {NAME: self.boot[NAME]} == self.boot
        found = {NAME} if boot.get(NAME) == self.boot[NAME] else set()
        kept = judge.files(self.image.tools, card) / "credentials"
        if (kept / CREDENTIALS).exists():
            assert (kept / CREDENTIALS).read_bytes() == self.credentials
            found.add(CREDENTIALS)
        # who is enrolled has no use for it, and overwrites it
        elif (kept / PENDING).exists():
            pending, last = json.loads((kept / PENDING).read_bytes()), json.loads(self.credentials)
            assert [pending[key] for key in KEYS] == [last[key] for key in KEYS]
            found.add(PENDING)
        return found


@pytest.fixture(scope="module")
def ends(image: Image, enrolled: Enrolled) -> Ends:
    credentials = judge.files(image.tools, enrolled.card) / "credentials" / CREDENTIALS
    return Ends(image, judge.boot(image.tools, enrolled.before), credentials.read_bytes())


def test_a_device_goes_on_after_a_power_cut(ends: Ends, enrolled: Enrolled, tmp_path: Path) -> None:
    card = tmp_path / "card.img"
    writes.copy(enrolled.before, card)
    # a flush alone leaves nothing that may be there or not
    cuts = [0, *(number for number, write in enumerate(enrolled.writes, start=1) if write.octets)]
    seen = set()
    for at in writes.cut(enrolled.log, card, enrolled.writes, cuts, SEED):
        found = ends.identity(card)
        where = f"behind {at} of {len(enrolled.writes)} writes"
        assert found & GOES_ON_BY, f"{where}: the device has neither its credentials nor the enrolment file"
        assert at < enrolled.armed or CREDENTIALS in found, f"{where}: the device was armed, and is not enrolled"
        seen.add(frozenset(found))
    # else nothing was proven
    assert seen == {frozenset(each) for each in ({NAME}, {NAME, PENDING}, {NAME, CREDENTIALS}, {CREDENTIALS})}


def test_a_file_that_is_erased_too_early_is_found_out(ends: Ends, enrolled: Enrolled, tmp_path: Path) -> None:
    """The control: the same writes and the same judge, and the file is erased when the credentials are to be made.

    The power goes before they are written, and when they are, and the card has not been told to keep them.
    """
    made = _first_with(CREDENTIALS.encode(), enrolled)
    later = enrolled.writes[made:]
    erasing = [write for write in later if write.at < layout.DATA.start]
    storing = writes.forgetful([write for write in later if write.at >= layout.DATA.start])
    told = [*enrolled.writes[:made], *erasing, *storing]
    card = tmp_path / "card.img"
    writes.copy(enrolled.before, card)
    lost = set()
    for at in writes.cut(enrolled.log, card, told, [made + len(erasing), *[len(told)] * FORGETFUL_CUTS], SEED):
        with suppress(AssertionError):
            if not ends.identity(card) & GOES_ON_BY:
                lost.add(at)
    assert lost == {made + len(erasing), len(told)}


def _first_with(text: bytes, enrolled: Enrolled) -> int:
    """How many writes came before that text, as the name of a file that begins to be one."""
    with enrolled.log.open("rb") as log:
        for number, write in enumerate(enrolled.writes):
            log.seek(write.kept_at)
            if text in log.read(write.octets):
                return number
    raise AssertionError(f"{text!r} was never written")
