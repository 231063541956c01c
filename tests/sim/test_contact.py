import random

from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.contact import Drive, press_schedule


def test_clean_contacts_close_once_and_open_once() -> None:
    assert press_schedule(1.3, 0.0, random.Random(1)) == (Drive(0.0, 0), Drive(1.3, None))


@given(
    hold_s=st.floats(0.001, 10.0),
    bounce_s=st.floats(0.0, 0.1),
    seed=st.integers(0, 1000),
)
def test_chatter_settles_and_stays_in_order(hold_s: float, bounce_s: float, seed: int) -> None:
    schedule = press_schedule(hold_s, bounce_s, random.Random(seed))
    offsets = [drive.offset_s for drive in schedule]
    assert offsets == sorted(offsets)
    assert schedule[0] == Drive(0.0, 0)
    assert schedule[-1].level is None
    held = [drive for drive in schedule if drive.offset_s < hold_s]
    assert held[-1].level == 0, "the finger is down just before the release"
    assert held[-1].offset_s <= hold_s / 2
    assert offsets[-1] <= hold_s + bounce_s


def test_a_seed_repeats_the_chatter_and_another_does_not() -> None:
    first = press_schedule(1.0, 0.01, random.Random(7))
    assert first == press_schedule(1.0, 0.01, random.Random(7))
    assert first != press_schedule(1.0, 0.01, random.Random(8))
    assert len(first) > 2, "there is chatter at all"
