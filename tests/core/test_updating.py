from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.core.updating import LEAST_PERCENT, Permission, Situation, permission

READY = Situation(
    known=True, alert_open=False, undelivered=0, in_use=False, charging=True, percent=80
)  # as a device in its charger at night
NOTHING = Permission(None, None, None)

situations = st.builds(
    Situation,
    known=st.booleans(),
    alert_open=st.booleans(),
    undelivered=st.integers(0, 3),
    in_use=st.booleans(),
    charging=st.none() | st.booleans(),
    percent=st.none() | st.integers(0, 100),
)


def steps(found: Permission) -> tuple[bool, bool, bool]:
    """Which steps may be taken."""
    return found.fetch is None, found.install is None, found.restart is None


def test_in_its_charger_off_duty_all_may_be_done() -> None:
    assert permission(READY, at_once=False) == NOTHING
    assert permission(READY, at_once=False).why_not is None


@given(situations, st.booleans())
def test_nothing_is_ever_done_during_an_alert(situation: Situation, at_once: bool) -> None:
    for urgent in (
        replace(situation, alert_open=True),
        replace(situation, undelivered=max(1, situation.undelivered)),
        replace(situation, known=False),
    ):
        assert steps(permission(urgent, at_once=at_once)) == (False, False, False)


@given(situations, st.booleans(), st.integers(0, LEAST_PERCENT - 1))
def test_a_battery_that_is_low_is_neither_written_on_nor_restarted(
    situation: Situation, at_once: bool, percent: int
) -> None:
    _, install, restart = steps(permission(replace(situation, percent=percent), at_once=at_once))
    assert not install
    assert not restart


@given(situations)
def test_at_once_allows_no_less(situation: Situation) -> None:
    policy, at_once = (steps(permission(situation, at_once=each)) for each in (False, True))
    assert all(more or not less for less, more in zip(policy, at_once, strict=True))


@given(situations, st.booleans())
def test_duty_and_charger_are_all_that_at_once_overrides(situation: Situation, at_once: bool) -> None:
    at_rest = replace(situation, in_use=False, charging=True)
    assert permission(situation, at_once=True) == permission(at_rest, at_once=at_once)


@given(situations, st.booleans())
def test_who_may_not_is_told_why(situation: Situation, at_once: bool) -> None:
    found = permission(situation, at_once=at_once)
    assert (found.why_not is None) == (steps(found) == (True, True, True))
    assert steps(found)[1] == steps(found)[2]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"in_use": True}, "in use"),
        ({"charging": False}, "not charging"),
        ({"charging": None}, "not charging"),
        ({"percent": 29}, "29 %"),
        ({"alert_open": True}, "an alert is open"),
        ({"undelivered": 1}, "not delivered"),
        ({"known": False}, "not known yet"),
    ],
)
def test_what_it_waits_for(changed: dict[str, object], why: str) -> None:
    found = permission(replace(READY, **changed), at_once=False)  # type: ignore[arg-type]
    assert found.why_not is not None
    assert why in found.why_not


def test_a_device_that_knows_no_battery_has_a_supply() -> None:
    assert permission(replace(READY, charging=None, percent=None), at_once=False) == NOTHING


def test_to_fetch_needs_no_battery() -> None:
    assert steps(permission(replace(READY, percent=10), at_once=False)) == (True, False, False)
