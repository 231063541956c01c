"""The self-test in a running device, on virtual time with a real store: what it finds, and that a press comes first."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate.checks import CLOCK_OFF_MS
from bondmate.core.gesture import Gesture
from bondmate.core.lamp import Light
from bondmate.cose import KeySigner
from bondmate.credentials import Credentials
from bondmate.errors import ConfigurationError, LinkError, LocalError, StoreError, StoreTrouble
from bondmate.ports import ModemState, PartFault, ReceiverState
from bondmate.records import ClockSource, Kind, Moment, Suspicion, UtcTime
from bondmate.selftest import SHOWN_S
from tests.desk import (
    ATTENTION,
    COULD_NOT_STORE,
    DEVICE,
    DEVICE_KEY,
    HOLD_S,
    STORED,
    UTC_MS,
    Desk,
    Disk,
    fix_at,
    letter,
    payload,
    receiver_state,
    running,
    silence,
)
from tests.gateway.cddl import validate_body, validate_record
from tests.virtual import run

QUIET_S = 400.0
"""Longer than any test."""
TAP_S = 0.1

Test = Callable[[Desk], Coroutine[Any, Any, None]]


class Modem:
    """Implements ports.CellularModem as far as a self-test looks at it."""

    def __init__(self, **state: Any) -> None:
        self.wrong: tuple[PartFault, ...] = ()
        well = ModemState(
            port="/dev/modem", present=True, why_not=None, model="Quectel EC25", imei="490154203237518",
            iccid="89351010000000000000", sim="ready", registration="home", roaming=False, operator="A Network",
            rat="LTE", rsrp_dbm=-95.0, rsrq_db=None, sinr_db=None, recovery=None, refused=(), sockets=0, troubles={},
        )  # fmt: skip
        self._state = replace(well, **state)

    def state(self) -> ModemState:
        return self._state

    def faults(self) -> tuple[PartFault, ...]:
        return self.wrong


class Sky:
    """Makes the desk's receiver speak, and see fixes once a second, while it is awake."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sentences = 0
        self.sees = True
        self.suspect: tuple[Suspicion, ...] = ()
        desk.place.state = self.state  # type: ignore[method-assign]

    def state(self) -> ReceiverState:
        state = receiver_state(self.desk.place.awake)
        return replace(state, speed_baud=9600, sentences={"GGA": self.sentences}, why_not=("no satellites used",))

    async def shine(self) -> None:
        while True:
            await asyncio.sleep(1)
            if self.desk.place.awake:
                self.sentences += 1
                if self.sees:
                    fix = fix_at(asyncio.get_running_loop().time())
                    self.desk.device.on_fix(replace(fix, suspect=self.suspect))


async def whole() -> Credentials:
    return Credentials(DEVICE, DEVICE_KEY, {}, {}, ())


@asynccontextmanager
async def on_desk(directory: Path, *, modem: Modem | None = None, **settings: Any) -> AsyncIterator[tuple[Desk, Sky]]:
    bearers = {} if modem is None else {"bearers": ("ip", "lte", "sms")}
    async with running(directory, **({"on_duty": False} | bearers | settings)) as desk:
        desk.device.parts.modem = modem  # type: ignore[assignment]
        desk.device.parts.read_credentials = whole
        for bearer in desk.bearers:
            bearer.last_success_s = None
        sky = Sky(desk)
        shining = asyncio.ensure_future(sky.shine())
        try:
            yield desk, sky
        finally:
            shining.cancel()


async def tap(desk: Desk, held_s: float = TAP_S) -> None:
    loop = asyncio.get_running_loop()
    desk.device.on_edge(0, True, loop.time())
    await asyncio.sleep(held_s)
    desk.device.on_edge(0, False, loop.time())


def told(desk: Desk) -> dict[str, Any]:
    test = desk.device.selftest.to_json()
    assert test is not None
    return test


def shown(desk: Desk) -> Light | None:
    return desk.device.selftest.light


async def over(desk: Desk, *, presses: bool = True) -> dict[str, dict[str, Any]]:
    """Begin a test, press when asked, and wait for its end; the checks by name."""
    desk.device.selftest.begin()
    await asyncio.sleep(2)
    if presses:
        await tap(desk)
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + QUIET_S
    while told(desk)["state"] == "running":
        assert loop.time() < ends_s
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.5)  # what was recorded is committed, and sent
    return {each["check"]: each for each in told(desk)["checks"]}


def failed(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    assert all((each["next"] is not None) == (each["ok"] is False) for each in checks.values())
    return {name: each["next"] for name, each in checks.items() if each["ok"] is False}


def test_all_is_well_and_a_signed_acceptance_says_so_off_duty_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, modem=Modem()) as (desk, _):
            checks = await over(desk)
            assert failed(checks) == {}
            assert told(desk)["ok"] is True
            [record] = desk.records(Kind.ACCEPTANCE)
            assert str(record.id).endswith("/report/1")
            validate_record(record.data)
            body = payload(record)[7]
            validate_body("acceptance-body", cbor2.dumps(body))
            assert [[name, ok] for name, ok, _ in body[1]] == [[name, each["ok"]] for name, each in checks.items()]
            assert desk.bearer.sent_of(Kind.ACCEPTANCE), "off duty too: somebody waits for it"
            assert desk.rows()[record.digest][0] is not None, "and its receipt is kept"

    run(main())


def test_no_text_names_a_number_of_sim_or_modem_or_a_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, modem=Modem()) as (desk, _):
            await over(desk)
            said = str(told(desk)) + str(payload(desk.record(Kind.ACCEPTANCE)))
            for private in ("490154203237518", "8935101", "A Network", "38.7", "-9.1"):
                assert private not in said
            assert "Quectel EC25" in said, "the control: it says something"

    run(main())


def test_off_duty_the_receiver_is_awake_for_the_test_alone_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            assert not desk.place.awake
            await over(desk)
            assert [awake for _, awake in desk.place.wakes][-2:] == [True, False]
            assert desk.device.fix is None
            assert not desk.device.selftest._bench.fixes
            assert not desk.records(Kind.POSITION)
            assert not desk.records(Kind.PRESENCE)

    run(main())


def test_on_duty_the_receiver_stays_awake_behind_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, on_duty=True) as (desk, _):
            await over(desk)
            assert desk.place.awake
            assert desk.device.fix is not None

    run(main())


def test_a_silent_receiver_is_red_and_says_what_to_look_at(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, sky):
            sky.desk.place.state = lambda: receiver_state(True)  # type: ignore[method-assign]
            desk.place.fault = "/dev/gnss: silent"
            assert failed(await over(desk)) == {"gnss": "check the cable", "fix": "see gnss"}

    run(main())


def test_without_a_sky_there_is_no_fix_and_why(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, sky):
            sky.sees = False
            checks = await over(desk)
            assert failed(checks) == {"fix": "go under the open sky and test again; then check the antenna"}
            assert checks["fix"]["text"] == "no fix: no satellites used"

    run(main())


def test_fixes_that_cannot_be_true_are_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, sky):
            sky.suspect = (Suspicion.EQUAL_SIGNAL,)
            checks = await over(desk)
            assert list(failed(checks)) == ["fix"]
            assert checks["fix"]["text"] == "only fixes that cannot be true: equal_signal"

    run(main())


@pytest.mark.parametrize(
    ("state", "wrong", "expected"),
    [
        ({"present": False, "sim": None, "why_not": "silent"}, ("modem-silent", "check its power"), "modem"),
        ({"present": False, "sim": "absent", "why_not": "no SIM"}, ("sim-absent", "put a SIM in"), "sim"),
        ({"registration": "denied", "why_not": "denied"}, ("not-registered", "check the antenna"), "registration"),
        ({"registration": "searching", "why_not": "in no network yet"}, None, "registration"),
    ],
)
def test_a_modem_that_is_of_no_use_is_red_where_it_fails(
    state: dict[str, Any], wrong: tuple[str, str] | None, expected: str, tmp_path: Path
) -> None:
    async def main() -> None:
        modem = Modem(**state)
        if wrong is not None:
            modem.wrong = (PartFault(wrong[0], f"the modem: {wrong[0]}", wrong[1]),)
        async with on_desk(tmp_path, modem=modem) as (desk, _):
            red = failed(await over(desk))
            behind = ["modem", "sim", "registration", "gateway-lte", "gateway-sms"]
            assert list(red) == behind[behind.index(expected) :]
            default = "check the antenna, the coverage, and the SIM's contract"
            assert red[expected] == (default if wrong is None else wrong[1])

    run(main())


def test_without_a_modem_there_is_nothing_to_test_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            checks = await over(desk)
            none = [name for name, each in checks.items() if each["ok"] is None]
            assert none == ["modem", "sim", "registration", "battery", "gateway-lte", "gateway-sms"]
            assert told(desk)["ok"] is True

    run(main())


def test_an_sms_is_never_sent_for_a_test_and_a_receipt_proves_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, modem=Modem()) as (desk, _):
            assert (await over(desk))["gateway-sms"]["ok"] is None
            assert desk.bearers[2].sent == []
            desk.bearers[2].last_success_s = asyncio.get_running_loop().time()
            assert (await over(desk))["gateway-sms"]["ok"] is True

    run(main())


@pytest.mark.parametrize("bearer", ["ip", "lte"])
def test_a_gateway_that_does_not_answer_is_red_over_that_bearer_alone(bearer: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, modem=Modem()) as (desk, _):
            dead = next(each for each in desk.bearers if each.name == bearer)

            async def refused(cursor: int) -> bytes:
                raise LinkError(f"no answer about {cursor}: connection refused")

            dead.fetch = refused  # type: ignore[method-assign]
            red = failed(await over(desk))
            assert list(red) == [f"gateway-{bearer}"]
            wanted = {"ip": "the gateway's address", "lte": "modem.apn"}
            assert wanted[bearer] in red[f"gateway-{bearer}"]

    run(main())


def test_a_gateway_that_hangs_is_red_at_the_deadline(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):

            async def hangs(cursor: int) -> bytes:
                return await silence(desk.records(Kind.OPENING)[cursor])

            desk.bearer.fetch = hangs  # type: ignore[method-assign]
            began_s = asyncio.get_running_loop().time()
            assert list(failed(await over(desk))) == ["gateway-ip"]
            assert 30 <= asyncio.get_running_loop().time() - began_s < 35

    run(main())


def test_what_is_asked_takes_no_message_but_has_the_mailbox_fetched(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.bearer.mail = [letter(1, 1, ["Come in.", []])]
            await over(desk)
            assert await desk.outbox.cursor() == 1
            assert desk.device.mailbox.unread == 1, "once, by the mailbox itself"

    run(main())


@pytest.mark.parametrize("code", ["led", "vibration"])
def test_a_line_that_does_not_follow_is_red(code: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.palm.broken = (PartFault(code, f"the {code} stays low when it is driven high", "check the wiring"),)
            checks = await over(desk)
            assert failed(checks) == {code: "check the wiring"}

    run(main())


def test_the_led_is_tried_covert_too_and_dark_again_behind_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            assert desk.palm.covert
            began_s = asyncio.get_running_loop().time()
            await over(desk)
            assert len([at for at in desk.palm.lit_openly if at > began_s]) > 6
            await asyncio.sleep(SHOWN_S)
            desk.palm.lit_openly.clear()
            await asyncio.sleep(60)
            assert desk.palm.lit_openly == []

    run(main())


def test_what_came_of_it_is_felt_and_seen(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, sky):
            desk.palm.forget()
            await over(desk)
            assert shown(desk) is Light.PASSED
            await asyncio.sleep(2)
            assert desk.palm.pulses == [*ATTENTION, *ATTENTION, *STORED]
            desk.palm.forget()
            sky.sees = False
            await over(desk)
            assert shown(desk) is Light.FAILED
            await asyncio.sleep(2)
            assert desk.palm.pulses == [*ATTENTION, *ATTENTION, *COULD_NOT_STORE]
            await asyncio.sleep(SHOWN_S)
            assert shown(desk) is None

    run(main())


def test_a_store_that_fails_is_red_and_says_what_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.disk.failure = StoreError("no space left on device", StoreTrouble.FULL)
            red = failed(await over(desk))
            assert list(red) == ["storage"]
            assert "free some space" in red["storage"]

    run(main())


def test_a_store_that_hangs_is_red_at_the_deadline_and_holds_nothing_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.disk.takes_s = 3600.0
            assert "storage" in failed(await over(desk))

    run(main())


def test_nothing_is_written_before_the_store_knows_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    async def keep(self: object, name: str, octets: bytes | None, moment: Moment) -> None:
        written.append(name)

    async def main() -> None:
        disk = Disk(failure=StoreError("not there yet", StoreTrouble.IO))
        async with on_desk(tmp_path, disk=disk) as (desk, _):
            monkeypatch.setattr("bondmate.store.outbox.SqliteOutbox.keep", keep)
            assert list(failed(await over(desk))) == ["storage"]
            assert "self-test" not in written

    run(main())


def test_nothing_of_what_was_written_stays_on_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            assert (await over(desk))["storage"]["ok"] is True
            assert await desk.outbox.kept("self-test") is None

    run(main())


def test_a_clock_that_is_not_the_receiver_s_is_red(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            off_ms = [CLOCK_OFF_MS + 1]

            def utc(now: float) -> UtcTime:
                return UtcTime(UTC_MS + off_ms[-1], ClockSource.GNSS, 10 if now else None)

            desk.device._rooms.dates.gnss_clock.utc = utc  # type: ignore[method-assign]
            assert list(failed(await over(desk))) == ["clock"]
            off_ms.append(CLOCK_OFF_MS)
            assert failed(await over(desk)) == {}

    run(main())


def test_without_a_clock_it_is_red(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, utc_ms=None) as (desk, sky):
            sky.sees = False
            assert list(failed(await over(desk))) == ["fix", "clock"]

    run(main())


async def damaged() -> Credentials:
    raise ConfigurationError(["credentials.json: not JSON"])


async def another() -> Credentials:
    return Credentials(DEVICE, KeySigner(ec.generate_private_key(ec.SECP256R1())), {}, {}, ())


@pytest.mark.parametrize(
    ("read", "text"),
    [(damaged, "credentials.json: not JSON"), (another, "the credentials on the disk are not those in use")],
)
def test_credentials_that_are_not_whole_are_red(read: Any, text: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.device.parts.read_credentials = read
            checks = await over(desk)
            assert list(failed(checks)) == ["keys"]
            assert checks["keys"]["text"] == text

    run(main())


def test_a_key_that_does_not_sign_is_red(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):

            def broken() -> None:
                raise OSError("no answer of the secure element")

            desk.device.parts.recorder.prove = broken  # type: ignore[method-assign]
            assert list(failed(await over(desk))) == ["keys"]

    run(main())


def test_a_probe_that_breaks_is_red_and_the_device_lives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):

            def broken() -> ReceiverState:
                raise ZeroDivisionError

            state = desk.place.state
            desk.device.selftest.begin()
            desk.place.state = broken  # type: ignore[method-assign]
            await asyncio.sleep(5)
            gnss = next(each for each in told(desk)["checks"] if each["check"] == "gnss")
            assert (gnss["ok"], gnss["text"]) == (False, "could not be looked at: ZeroDivisionError")
            desk.place.state = state  # type: ignore[method-assign]
            await desk.press()

    with caplog.at_level(logging.CRITICAL):
        run(main())


def test_a_part_that_cannot_say_how_it_stands_is_red_and_the_device_lives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, sky):

            def broken() -> tuple[PartFault, ...]:
                raise ZeroDivisionError

            sky.sees = False
            # the observer would stumble over it too
            desk.device._rooms.observer._parts = []
            desk.place.faults = broken  # type: ignore[method-assign]
            checks = await over(desk)
            assert checks["fix"]["text"] == "could not be looked at: ZeroDivisionError"
            await desk.press()

    with caplog.at_level(logging.CRITICAL):
        run(main())


def test_without_a_press_it_is_red_and_no_acceptance(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            red = failed(await over(desk, presses=False))
            assert list(red) == ["button"]
            assert desk.records(Kind.ACCEPTANCE) == []

    run(main())


def test_a_press_from_before_it_was_asked_for_proves_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            loop = asyncio.get_running_loop()
            desk.device.on_edge(0, True, loop.time())
            await asyncio.sleep(0.1)
            desk.device.selftest.begin()
            await asyncio.sleep(0.1)
            desk.device.on_edge(0, False, loop.time())
            await asyncio.sleep(5)
            button = next(each for each in told(desk)["checks"] if each["check"] == "button")
            assert (button["state"], button["ok"]) == ("running", None)

    run(main())


# --- a press comes first -----------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0.0, 1.0, 3.0, 5.5, 8.0, 9.9, 11.0])
def test_a_hold_at_any_moment_of_a_test_is_an_alert_and_ends_it_at_once(after_s: float, tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, modem=Modem()) as (desk, _):
            desk.device.selftest.begin()
            if after_s > 2:
                await asyncio.sleep(2)
                await tap(desk)
            await asyncio.sleep(max(0.0, after_s - 2.1))
            desk.palm.forget()
            raised_s = await desk.press()
            await asyncio.sleep(3)
            test = told(desk)
            [call] = desk.calls()
            assert call.kind is Kind.PANIC
            [(sent_s, _)] = desk.bearer.sent_calls()
            assert sent_s - raised_s < 0.1, "not a moment later than without a test"
            stored = next(rise - raised_s for rise in desk.palm.rises if rise >= raised_s)
            assert stored <= 0.45, "a vibration of the test is broken off, and a pause parts the two"
            if test["state"] != "done":
                assert (test["state"], test["why"], test["ok"]) == ("cancelled", "an alert was raised", False)
                assert desk.records(Kind.ACCEPTANCE) == []
            assert desk.device.selftest.light is None
            assert desk.device.selftest._tasks == {}
            assert desk.device.alert_open

    run(main())


def test_what_of_a_test_is_still_to_be_felt_is_not_taken_for_the_alert_s(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.device.selftest.begin()
            await asyncio.sleep(0.5)
            desk.disk.failure = StoreError("broken", StoreTrouble.IO)
            desk.palm.forget()
            raised_s = await desk.press()
            await asyncio.sleep(2)
            assert STORED[0] not in desk.palm.pulses
            assert [rise for rise in desk.palm.rises if rise > raised_s], "the control: that it is not stored is felt"

    run(main())


def test_while_an_alert_is_open_none_begins(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            await desk.press()
            with pytest.raises(LocalError, match="an alert is open"):
                desk.device.selftest.begin()
            assert desk.device.selftest.to_json() is None

    run(main())


def test_an_alert_that_begins_in_the_test_by_itself_ends_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.device.selftest.begin()
            await asyncio.sleep(1)
            desk.device.raise_alert(Kind.MAN_DOWN)
            assert told(desk)["state"] == "cancelled"
            undone = [each for each in told(desk)["checks"] if each["text"].startswith("not done")]
            assert {each["next"] for each in undone} == {"run the self-test again"}

    run(main())


def test_another_one_takes_the_place_of_the_one_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            desk.device.selftest.begin()
            await asyncio.sleep(1)
            assert failed(await over(desk)) == {}
            assert told(desk)["number"] == 2
            assert len(desk.records(Kind.ACCEPTANCE)) == 1

    run(main())


# --- the gesture at power-on -------------------------------------------------------------------------


async def knock(desk: Desk, times: int = 5, rest_s: float = 0.8) -> None:
    for _ in range(times):
        await asyncio.sleep(rest_s)
        await tap(desk)
    await asyncio.sleep(0.1)


ALL_GESTURES: tuple[dict[Gesture, Kind], ...] = (
    {Gesture.HOLD: Kind.PANIC, Gesture.DOUBLE: Kind.ASSISTANCE, Gesture.TRIPLE: Kind.MEDICAL},
)


def test_five_slow_presses_after_power_on_begin_one_and_call_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path, gestures=ALL_GESTURES) as (desk, _):
            await knock(desk, 4)
            assert desk.device.selftest.to_json() is None
            await knock(desk, 1)
            assert told(desk)["state"] == "running"
            assert desk.device.selftest.light is Light.PRESS, "it asks for one more: that it is seen is part of it"
            await asyncio.sleep(1)
            await tap(desk)
            await asyncio.sleep(30)
            assert (told(desk)["state"], told(desk)["ok"]) == ("done", True)
            assert desk.records(Kind.ACCEPTANCE)
            assert desk.calls() == []

    run(main())


def test_long_after_power_on_they_begin_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            await asyncio.sleep(30)
            await knock(desk)
            assert desk.device.selftest.to_json() is None

    run(main())


def test_a_button_that_is_down_at_power_on_calls_as_ever(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            loop = asyncio.get_running_loop()
            desk.device.on_edge(0, True, loop.time(), from_start=True)
            await asyncio.sleep(HOLD_S + 0.01)
            assert [call.kind for call in desk.calls()] == [Kind.PANIC]
            desk.device.on_edge(0, False, loop.time())
            assert desk.device.selftest.to_json() is None

    run(main())


def test_who_holds_behind_four_presses_calls(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_desk(tmp_path) as (desk, _):
            await knock(desk, 4)
            await desk.press()
            assert [call.kind for call in desk.calls()] == [Kind.PANIC]
            await knock(desk, 5)
            assert desk.device.selftest.to_json() is None, "while the alert is open none begins"

    run(main())


def test_the_record_of_kind_80_is_as_the_page_has_it() -> None:
    assert (int(Kind.ACCEPTANCE), Kind.ACCEPTANCE.label, Kind.ACCEPTANCE.stream.label) == (80, "acceptance", "report")
    assert cbor2.dumps(int(Kind.ACCEPTANCE)) == b"\x18\x50"
