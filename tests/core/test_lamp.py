"""The LED's levels, by moving `now`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.lamp import DARK_S, FLASH_S, Lamp, Light


@pytest.mark.parametrize(("light", "lit"), [(Light.OFF, False), (Light.ARMED, True)])
def test_a_steady_lamp_never_changes(light: Light, lit: bool) -> None:
    lamp = Lamp()
    assert (lamp.level(0.0), lamp.next_due(0.0)) == (False, None)
    lamp.show(light, 5.0)
    assert (lamp.level(5.0), lamp.level(1e6), lamp.next_due(5.0)) == (lit, lit, None)


@given(st.floats(0, 1e5))
def test_a_flashing_lamp_changes_when_it_says_and_only_then(since_s: float) -> None:
    lamp = Lamp()
    lamp.show(Light.PRECISE, since_s)
    now, lit = since_s, True
    for _ in range(20):
        assert lamp.level(now + 1e-3) is lit
        due = lamp.next_due(now + 1e-3)
        assert due is not None
        assert due - now == pytest.approx(FLASH_S if lit else DARK_S, abs=1e-6)
        assert lamp.level(due - 1e-3) is lit
        now, lit = due, not lit


def test_the_same_shown_again_does_not_begin_anew() -> None:
    lamp = Lamp()
    lamp.show(Light.PRECISE, 0.0)
    lamp.show(Light.PRECISE, FLASH_S + 0.1)
    assert not lamp.level(FLASH_S + 0.1)
