"""The judge of the fault tests with processes sees each thing that must not be, and nothing else."""

from typing import Any

import pytest

from bondmate_sim.palm import Pulse
from tests.faults.world_judge import Press, confirmed, judge

HOLD_S = 0.05
MS = 1_000_000


def press_at(*times_ms: int) -> list[Press]:
    return [Press(t_ms * MS, t_ms) for t_ms in times_ms]


def alert(raised_ms: int, **other: Any) -> dict[str, Any]:
    return {
        "alert_id": f"BM/0001/alert/{raised_ms}",
        "raised_at": f"1970-01-01T00:00:{raised_ms / 1000:06.3f}Z",
        "forks": [],
        "chain": "whole",
        "verdict": "held",
        "store_lost": False,
        "why": None,
    } | other


@pytest.mark.parametrize(
    ("pulse", "deaths_ms", "counts"),
    [
        (Pulse(1060 * MS, 400.0), [], True),
        (Pulse(1060 * MS, 260.0), [1320], True),
        (Pulse(1060 * MS, 3.0), [1063], True),
        (Pulse(1060 * MS, 120.0), [], False),
        (Pulse(1060 * MS, 120.0), [3000], False),
        (Pulse(1040 * MS, 400.0), [], False),
        (Pulse(1060 * MS, 400.0), [1055], False),
        (Pulse(900 * MS, 400.0), [], False),
    ],
    ids=[
        "stored", "cut late", "cut at once", "another pattern", "another pattern, and a death much later",
        "too early for this press", "in the next life", "before any press",
    ],
)  # fmt: skip
def test_what_confirms_a_press(pulse: Pulse, deaths_ms: list[int], counts: bool) -> None:
    found = confirmed(press_at(1000), [pulse], [death * MS for death in deaths_ms], HOLD_S)
    assert found == ({0} if counts else set())


def test_a_pulse_cut_short_behind_another_may_be_the_rest_of_a_pattern() -> None:
    pulses = [Pulse(980 * MS, 120.0), Pulse(1220 * MS, 40.0)]
    assert confirmed(press_at(1000), pulses, [1260 * MS], HOLD_S) == set()


def test_a_pulse_belongs_to_the_newest_press() -> None:
    pulses = [Pulse(1060 * MS, 400.0), Pulse(2060 * MS, 400.0)]
    assert confirmed(press_at(1000, 2000, 3000), pulses, [], HOLD_S) == {0, 1}


def test_a_good_end_is_good() -> None:
    found = judge(press_at(1000, 2000, 3000), {0, 1}, [alert(2051), alert(1051)], ["BM/0001/alert/1051"])
    assert found.good
    assert (found.presses, found.confirmed) == (3, 2)


def test_an_unconfirmed_press_may_be_held_and_may_be_lost() -> None:
    assert judge(press_at(1000, 2000), set(), [alert(1051)]).good


def test_a_confirmed_press_that_is_not_held_is_lost() -> None:
    found = judge(press_at(1000, 2000), {0, 1}, [alert(2051)])
    assert found.lost == ["press 0 of 1000, confirmed"]


def test_an_alert_that_the_device_called_stored_and_nobody_has_is_lost() -> None:
    found = judge(press_at(1000), set(), [], ["BM/0001/alert/1051"])
    assert found.lost == ["BM/0001/alert/1051, which the device called stored"]


@pytest.mark.parametrize(
    "alerts",
    [[alert(1051), alert(1052)], [alert(1051), alert(1051)], [alert(1051, forks=[{}])]],
    ids=["two of one press", "one shown twice", "a fork"],
)
def test_what_is_there_twice_is_seen(alerts: list[dict[str, Any]]) -> None:
    found = judge(press_at(1000), {0}, alerts)
    assert found.duplicated
    assert not found.lost


@pytest.mark.parametrize(
    "more",
    [
        alert(999), alert(2051, raised_at=None), alert(2051, chain="broken"), alert(2051, chain="waiting"),
        alert(2051, verdict="unreadable"), alert(2051, store_lost=True),
    ],
    ids=["invented", "without a time", "broken", "waiting", "unreadable", "store lost"],
)  # fmt: skip
def test_whatever_else_must_not_be_is_seen(more: dict[str, Any]) -> None:
    found = judge(press_at(1000, 2000), {0}, [alert(1051), more])
    assert found.wrong
    assert not found.lost
