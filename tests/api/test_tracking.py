"""Duty, the receiver and privacy, over the API of a running device."""

import asyncio
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bondmate.core.sky import Number, Satellite
from bondmate.records import Fix, How, Kind
from tests.api.served import Served, asked, served
from tests.desk import receiver_state
from tests.eventually import eventually

ENDS_AT = dt.datetime(2026, 11, 21, 5, 0, 0, 120_000, tzinfo=dt.UTC)
"""UTC_TEXT and the 14 hours of a shift."""


OFF_DUTY = {"duty": "off", "ends_at": None, "alert_open": False}


def awake(there: Served) -> bool:
    """The receiver."""
    return there.sky.awake


def is_the_end(text: str) -> bool:
    """The clock stands still, and so the end comes nearer by what the test takes."""
    return dt.timedelta(0) <= ENDS_AT - dt.datetime.fromisoformat(text) < dt.timedelta(seconds=30)


async def got(there: Served, resource: str) -> Any:
    code, answer = await asked(there, "GET", resource)
    assert code == 200
    return answer


async def put(there: Served, duty: object) -> tuple[int, Any]:
    return await asked(there, "POST", "/duty", json.dumps({"duty": duty}).encode())


def test_a_shift_is_begun_and_ended_and_stored(run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            assert await got(there, "/duty") == OFF_DUTY
            assert not awake(there)
            code, answer = await put(there, "on")
            assert (code, answer["duty"], answer["stored"]) == (200, "on", True)
            assert is_the_end(answer["ends_at"])
            assert awake(there)
            assert (await got(there, "/status"))["duty"] == "on"
            assert await there.outbox.duty() is not None
            code, answer = await put(there, "off")
            assert (code, answer) == (200, OFF_DUTY | {"stored": True})
            assert not awake(there)
            assert await there.outbox.duty() is None

    asyncio.run(main())


def test_without_utc_nobody_knows_when_a_shift_ends(run: Path) -> None:
    async def main() -> None:
        async with served(run, utc_ms=None) as there:
            assert await got(there, "/duty") == {"duty": "on", "ends_at": None, "alert_open": False}

    asyncio.run(main())


def test_a_shift_whose_end_cannot_be_stored_ends_and_says_so(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.settled(1)
            await there.outbox.close()
            assert await put(there, "off") == (200, OFF_DUTY | {"stored": False})
            assert not awake(there)

    asyncio.run(main())


@pytest.mark.parametrize("duty", ["On", "", None, 1, True, ["on"], {"on": 1}])
def test_anything_else_than_on_and_off_is_refused_and_changes_nothing(duty: object, run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            code, answer = await put(there, duty)
            assert (code, answer) == (400, {"error": f"duty is one of on, off, not {duty!r}"})
            code, _ = await asked(there, "POST", "/duty")
            assert code == 400
            assert not there.device.duty.is_on

    asyncio.run(main())


def test_off_duty_no_fix_is_shown_anywhere(run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            there.device.on_fix(Fix(taken_s=asyncio.get_running_loop().time(), lat=38.7, lon=-9.1, mode=3))
            assert (await got(there, "/status"))["fix"] is None
            assert (await got(there, "/gnss"))["fix"] is None
            assert (await got(there, "/privacy"))["collected"] == []

    asyncio.run(main())


def test_the_receiver_says_what_it_sees(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with served(run) as there:
            seen = replace(
                receiver_state(True),
                speed_baud=38400,
                identity="u-blox M10",
                antenna="ok",
                why_not=("too few satellites",),
                satellites=(
                    (Satellite(Number("GPS", 5), "L1", 40, 83, 31), True),
                    (Satellite(Number("Galileo", 8), "", None, None, None), False),
                ),
                sentences={"GGA": 3},
                rejected={"bad checksum": 1},
                octets=512,
                noise_octets=7,
            )
            monkeypatch.setattr(there.sky, "state", lambda: seen)
            now = asyncio.get_running_loop().time()
            there.device.on_fix(Fix(taken_s=now, lat=38.7, lon=-9.1, mode=3))
            answer = await got(there, "/gnss")
            assert answer.pop("at_s") == pytest.approx(now, abs=5)
            assert answer.pop("fix")["lat"] == 38.7
            assert answer == {
                "awake": True,
                "port": "/dev/gnss",
                "speed_baud": 38400,
                "receiver": "u-blox M10",
                "antenna": "ok",
                "why_not": ["too few satellites"],
                "satellites": [
                    {
                        "system": "GPS", "number": 5, "signal": "L1", "elevation_deg": 40, "azimuth_deg": 83,
                        "cn0_dbhz": 31, "used": True,
                    },
                    {
                        "system": "Galileo", "number": 8, "signal": None, "elevation_deg": None, "azimuth_deg": None,
                        "cn0_dbhz": None, "used": False,
                    },
                ],
                "sentences": {"GGA": 3},
                "rejected": {"bad checksum": 1},
                "octets": 512,
                "noise_octets": 7,
            }  # fmt: skip

    asyncio.run(main())


def test_privacy_is_that_of_the_device_as_it_is(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            on_duty = await got(there, "/privacy")
            assert (on_duty["duty"], [each["what"] for each in on_duty["collected"]]) == ("on", ["presence"])
            assert is_the_end(on_duty["collected"][0]["until"])
            there.device.raise_alert(Kind.PANIC)
            await eventually(lambda: there.device.waiting()[Kind.PANIC.stream], "the alert to be stored")
            in_alert = await got(there, "/privacy")
            assert [each["what"] for each in in_alert["collected"]] == ["position"]
            assert (in_alert["alert_open"], in_alert["waiting"]["alert"]) == (True, 1)
            there.device.cancel_alert(How.TOOL)
            await put(there, "off")
            assert (await got(there, "/privacy"))["collected"] == []

    asyncio.run(main())
