"""What `bondmatectl privacy` says, against what a device does: by a device on virtual time, with a real store.

The report must not promise what the device does not do, so each of its numbers is looked for in the records.
"""

import asyncio
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bondmate import privacy
from bondmate.aging import UPKEEP_S
from bondmate.core.tracking import EARLIER, MOVED_M, TrackingPolicy
from bondmate.records import How, Kind, Stream
from bondmate_sim.gateway import elements
from tests.desk import UTC_MS, Desk, fix_at, payload, running, silence
from tests.virtual import run

POLICY = TrackingPolicy(alert_interval_s=5.0, presence_interval_s=120.0, presence_bits=14)


def situation(desk: Desk) -> privacy.Situation:
    return privacy.Situation(
        on_duty=desk.device.duty.is_on,
        alert_open=desk.device.alert_open,
        shift_ends_ms=None,
        is_dated=True,
        fix_known=desk.device.fix is not None,
        policy=POLICY,
        keep_delivered_s=72 * 3600.0,
        waiting={stream.label: count for stream, count in desk.device.waiting().items()},
    )


async def stay(desk: Desk, seconds: int) -> None:
    """A fix a second, always the same place."""
    for _ in range(seconds):
        await asyncio.sleep(1)
        desk.device.on_fix(replace(fix_at(asyncio.get_running_loop().time()), accuracy_m=3.0))


def apart_s(desk: Desk, kind: Kind) -> list[float]:
    """How long after the last each record of a kind was made."""
    made_s = [payload(record)[4] / 1000 for record in desk.records(kind)]
    return [later - earlier for earlier, later in pairwise(made_s)]


def test_off_duty_nothing_is_collected_and_the_report_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None, tracking=POLICY) as desk:
            await stay(desk, 600)
            told = privacy.report(situation(desk))
            assert (told["duty"], told["alert_open"], told["collected"]) == ("off", False, [])
            assert "without a position: none is known now" in told["if_pressed"]
            assert desk.records(Kind.PRESENCE) == desk.records(Kind.POSITION) == []

    run(story())


def test_on_duty_presence_is_collected_as_the_report_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, tracking=POLICY) as desk:
            await stay(desk, 600)
            told = privacy.report(situation(desk))
            [presence] = told["collected"]
            assert presence["what"] == "presence"
            assert apart_s(desk, Kind.PRESENCE) == pytest.approx([presence["every_s"]] * 4, abs=1)
            packed = elements.fix(payload(desk.record(Kind.PRESENCE))[6])
            assert packed.coarse
            assert packed.accuracy_m == pytest.approx(math.hypot(*[presence["precision_m"]] * 2) / 2, rel=0.15)
            assert desk.records(Kind.POSITION) == []

    run(story())


def test_in_an_alert_positions_are_collected_as_the_report_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, on_duty=None, tracking=POLICY) as desk:
            await desk.press()
            await stay(desk, 60)
            [position] = privacy.report(situation(desk))["collected"]
            assert position["what"] == "position"
            assert apart_s(desk, Kind.POSITION) == pytest.approx([position["every_s"]] * 11, abs=0.3)
            assert elements.fix(payload(desk.record(Kind.POSITION))[6]).accuracy_m == pytest.approx(3.0, rel=0.2)
            assert (position["precision_m"], position["until_text"]) == (None, "the alert is closed")
            desk.device.cancel_alert(How.TOOL)
            assert privacy.report(situation(desk))["collected"] == []

    run(story())


def test_what_a_press_sends_is_what_the_report_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, tracking=POLICY) as desk:
            await stay(desk, 60)
            told = privacy.report(situation(desk))
            assert f"the last {EARLIER} positions before it" in told["if_pressed"]
            assert f"by {MOVED_M:g} m" in told["if_pressed"]
            await desk.press()
            assert payload(desk.record(Kind.PANIC))[6] is not None
            assert len(payload(desk.record(Kind.POSITIONS_BEFORE))[7]) == EARLIER

    run(story())


def test_what_waits_and_when_it_is_erased_is_what_the_report_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, tracking=POLICY) as desk:
            desk.bearer.answer = silence
            await stay(desk, 250)
            told = privacy.report(situation(desk))
            assert told["waiting"] == {"alert": 0, "position": 0, "presence": 3}
            assert "within ten minutes of the gateway's receipt" in told["kept"]
            assert UPKEEP_S <= 600
            desk.bearer.answer = desk.bearer.hold
            await asyncio.sleep(60)
            assert desk.device.waiting()[Stream.PRESENCE] == 0
            presences = {record.digest for record in desk.records(Kind.PRESENCE)}
            assert presences & desk.rows().keys()
            await asyncio.sleep(UPKEEP_S + 5)
            assert not presences & desk.rows().keys()

    run(story())


def text_of(**changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "on_duty": True,
        "alert_open": False,
        "shift_ends_ms": UTC_MS,
        "is_dated": True,
        "fix_known": True,
        "policy": POLICY,
        "keep_delivered_s": 48 * 3600.0,
        "waiting": {},
    }
    return privacy.report(privacy.Situation(**given | changed))


def test_until_when_is_said_as_far_as_it_is_known() -> None:
    # 1,900,000,000 s, by `date -u -d @1900000000`
    [known] = text_of()["collected"]
    assert (known["until"], known["until_text"]) == (
        "2030-03-17T17:46:40.000Z",
        "you go off duty, at 2030-03-17T17:46:40.000Z at the latest",
    )
    [unknown] = text_of(shift_ends_ms=None)["collected"]
    assert (unknown["until"], unknown["until_text"]) == (None, "you go off duty, or the shift ends by itself")


def test_how_long_all_else_is_kept_is_as_configured() -> None:
    assert "48 h after its receipt" in text_of()["kept"]


def test_while_an_alert_is_open_its_positions_are_all_that_is_collected() -> None:
    assert [each["what"] for each in text_of(alert_open=True)["collected"]] == ["position"]


def test_without_a_date_no_presence_is_promised(tmp_path: Path) -> None:
    [presence] = text_of(is_dated=False)["collected"]
    assert presence["text"].endswith("as soon as the date is known: until then nothing")

    async def story() -> None:
        async with running(tmp_path, utc_ms=None, tracking=POLICY) as desk:
            await stay(desk, 300)
            assert desk.records(Kind.PRESENCE) == []

    run(story())


def test_without_a_fix_no_position_is_promised_of_a_press(tmp_path: Path) -> None:
    assert "A press goes at once, without a position" in text_of(fix_known=False)["if_pressed"]

    async def story() -> None:
        async with running(tmp_path, tracking=POLICY) as desk:
            await desk.press()
            assert payload(desk.record(Kind.PANIC))[6] is None

    run(story())


def test_what_an_alert_keeps_is_said(tmp_path: Path) -> None:
    assert "An alert has the position that it was raised with." in text_of()["kept"]

    async def story() -> None:
        async with running(tmp_path, tracking=POLICY) as desk:
            await stay(desk, 60)
            await desk.press()
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(2 * UPKEEP_S)
            assert desk.record(Kind.PANIC).digest in desk.rows()
            assert payload(desk.record(Kind.PANIC))[6] is not None

    run(story())
