"""The LED's levels, by moving `now`."""

from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.lamp import Lamp, Light

CHANGING = [light for light in Light if len(light.value) > 1]


@pytest.mark.parametrize(("light", "lit"), [(Light.OFF, False), (Light.ARMED, True)])
def test_a_steady_lamp_never_changes(light: Light, lit: bool) -> None:
    lamp = Lamp()
    assert (lamp.level(0.0), lamp.next_due(0.0)) == (False, None)
    lamp.show(light, 5.0)
    assert (lamp.level(5.0), lamp.level(1e6), lamp.next_due(5.0)) == (lit, lit, None)


@given(st.sampled_from(CHANGING), st.floats(0, 1e5))
def test_a_flashing_lamp_changes_when_it_says_and_only_then(light: Light, since_s: float) -> None:
    lamp = Lamp()
    lamp.show(light, since_s)
    now, lit = since_s, True
    for lasts_s in islice(cycle(light.value), 20):
        assert lamp.level(now + 1e-3) is lit
        due = lamp.next_due(now + 1e-3)
        assert due is not None
        assert due - now == pytest.approx(lasts_s, abs=1e-6)
        assert lamp.level(due - 1e-3) is lit
        now, lit = due, not lit


@given(st.sampled_from(CHANGING), st.floats(0, 1e7), st.floats(0, 1e5))
def test_asked_at_the_very_time_that_it_named_it_has_changed(light: Light, since_s: float, after_s: float) -> None:
    """Else whoever drives the LED would ask again and again."""
    lamp = Lamp()
    lamp.show(light, since_s)
    now = since_s + after_s
    for _ in range(20):
        due = lamp.next_due(now)
        assert due is not None
        assert due > now
        assert lamp.level(due) is not lamp.level(now)
        now = due


def test_each_changing_light_ends_dark_and_none_looks_like_another() -> None:
    assert all(len(light.value) % 2 == 0 for light in CHANGING), "so that a round begins lit"
    lit = {light: sum(light.value[::2]) / sum(light.value) for light in CHANGING}
    assert len({round(share, 1) for share in lit.values()}) == len(CHANGING)
    assert lit[Light.NOT_ARMED] < 0.1, "long dark"


def test_the_same_shown_again_does_not_begin_anew() -> None:
    lamp = Lamp()
    lamp.show(Light.PRECISE, 0.0)
    lamp.show(Light.PRECISE, 0.3)
    assert not lamp.level(0.3)
