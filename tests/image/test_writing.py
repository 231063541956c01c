import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from bondmate_image import plan, targets, writing
from bondmate_image.errors import ImageError
from bondmate_image.plan import Plan
from bondmate_image.writing import Phase
from tests.image import cards
from tests.image.cards import BLOCK

USED = (range(40), range(1500, 2600))


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[Plan]:
    path = cards.image(tmp_path / "a.img", used=USED)
    cards.bmap(path, USED)
    descriptor = os.open(path, os.O_RDONLY)
    yield plan.read(path, descriptor)
    os.close(descriptor)


def flash(planned: Plan, card: Path, tell: writing.Tell = lambda phase, done: None) -> None:
    (target,) = targets.check([card], planned.size)
    writing.flash(planned, target, tell)


def has(card: Path, planned: Plan) -> bool:
    written, image = card.read_bytes(), planned.image.read_bytes()
    return all(
        written[each.start * BLOCK : each.stop * BLOCK] == image[each.start * BLOCK : each.stop * BLOCK]
        for each in USED
    )


def test_a_file_gets_what_is_mapped_and_keeps_the_rest(planned: Plan, tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card", 3100 * BLOCK)
    told: list[tuple[Phase, int]] = []
    flash(planned, card, lambda phase, done: told.append((phase, done)))
    assert has(card, planned)
    written = card.read_bytes()
    assert set(written[40 * BLOCK : 1500 * BLOCK] + written[2600 * BLOCK :]) == {0xA5}
    assert told[0] == ("writing", 0)
    assert told[-1] == ("comparing", planned.octets)
    assert ("comparing", 0) in told


def test_a_loop_device_gets_it_too(planned: Plan, tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card")
    with cards.loop(card) as device:
        flash(planned, device)
    assert has(card, planned)


def test_a_file_in_memory_gets_it_too(planned: Plan) -> None:
    card = Path("/dev/shm") / f"bondmate-card-{os.getpid()}"
    if not card.parent.is_dir():
        pytest.skip("there is no /dev/shm here")
    try:
        flash(planned, cards.blank(card))
        assert has(card, planned)
    finally:
        card.unlink(missing_ok=True)


def test_an_image_whose_end_is_in_the_middle_of_a_page_is_compared_to_its_end(tmp_path: Path) -> None:
    path = cards.image(tmp_path / "a.img", blocks=3, used=(range(3),))
    path.write_bytes(path.read_bytes()[: 2 * BLOCK + 512])
    card = cards.blank(tmp_path / "card", 2 * BLOCK + 512)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with cards.loop(card) as device:
            flash(plan.read(path, descriptor), device)
    finally:
        os.close(descriptor)
    assert card.read_bytes() == path.read_bytes()


def test_until_all_else_was_compared_a_card_has_no_partition_table(planned: Plan, tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card")

    def tell(phase: Phase, done: int) -> None:
        if phase == "writing" or done < planned.octets - plan.HEAD:
            assert not any(card.read_bytes()[:512])

    flash(planned, card, tell)
    assert any(card.read_bytes()[:512])


@pytest.mark.parametrize("octet", [0, 1500 * BLOCK, 1500 * BLOCK + 4_200_000, 2600 * BLOCK - 1])
def test_what_the_card_does_not_keep_is_named_with_its_place(planned: Plan, tmp_path: Path, octet: int) -> None:
    card = cards.blank(tmp_path / "card")

    wrong = bytes([planned.image.read_bytes()[octet] ^ 1])

    def tell(phase: Phase, _: int) -> None:
        # what a bad card does between: it forgets
        if phase == "comparing":
            with card.open("r+b") as file:
                file.seek(octet)
                file.write(wrong)

    with pytest.raises(ImageError, match=f"differs from the image at octet {octet}:"):
        flash(planned, card, tell)
    assert not any(card.read_bytes()[:512])


def test_a_card_that_became_shorter_is_named_with_the_place(planned: Plan, tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card")

    def tell(phase: Phase, done: int) -> None:
        if (phase, done) == ("comparing", 0):
            os.truncate(card, 2000 * BLOCK)

    with pytest.raises(ImageError, match=f"differs from the image at octet {2000 * BLOCK}:"):
        flash(planned, card, tell)


def test_what_is_compared_is_the_card_and_not_what_this_computer_remembers(planned: Plan, tmp_path: Path) -> None:
    """The file behind the loop device is changed, while the loop device's own pages still have what was written."""
    card = cards.blank(tmp_path / "card")
    with cards.loop(card) as device:

        def tell(phase: Phase, done: int) -> None:
            if (phase, done) == ("comparing", 0):
                with device.open("rb") as reader:
                    reader.seek(1600 * BLOCK)
                    remembered = reader.read(BLOCK)
                with card.open("r+b") as file:
                    file.seek(1600 * BLOCK)
                    file.write(bytes(BLOCK))
                    file.flush()
                    os.fsync(file.fileno())
                assert any(remembered)

        with pytest.raises(ImageError, match=f"differs from the image at octet {1600 * BLOCK}:"):
            flash(planned, device, tell)


def test_an_image_that_changes_meanwhile_is_told_from_a_bad_card(planned: Plan, tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card")

    def tell(phase: Phase, done: int) -> None:
        if (phase, done) == ("writing", 0):
            with planned.image.open("r+b") as file:
                file.seek(2000 * BLOCK)
                file.write(bytes(BLOCK))

    with pytest.raises(ImageError, match=r"a\.img was changed while it was written"):
        flash(planned, card, tell)


def test_a_card_that_takes_no_more_is_named_with_the_place(planned: Plan, tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the kernel's own refusal: a file of this process may not be written beyond this
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000 * BLOCK, before[1]))
    try:
        with pytest.raises(ImageError, match=f"could not be written at octet {2000 * BLOCK}: File too large"):
            flash(planned, card)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("phase", "percent"), [("writing", 1), ("comparing", 0), ("comparing", 50), ("comparing", 100)]
)
def test_an_error_of_whoever_is_told_ends_it(planned: Plan, tmp_path: Path, phase: Phase, percent: int) -> None:
    card = cards.blank(tmp_path / "card")

    def tell(now: Phase, done: int) -> None:
        if now == phase and done * 100 >= planned.octets * percent:
            raise KeyError(phase)

    with pytest.raises(KeyError):
        flash(planned, card, tell)
    assert not any(card.read_bytes()[:512])


def test_what_is_remembered_can_be_dropped(tmp_path: Path) -> None:
    card = cards.blank(tmp_path / "card", 2 * BLOCK)
    with cards.loop(card) as device, device.open("rb", buffering=0) as reader:
        assert os.pread(reader.fileno(), 1, 0) == b"\xa5"
        with card.open("r+b") as file:
            file.write(b"new")
            file.flush()
            os.fsync(file.fileno())
        assert os.pread(reader.fileno(), 1, 0) == b"\xa5"  # remembered: else this test shows nothing
        writing.drop_cached(reader.fileno())
        assert os.pread(reader.fileno(), 3, 0) == b"new"
