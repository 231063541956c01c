"""The modem's driver on real pseudo-terminals, opposite a module scripted from the manuals."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from bondmate.core.ladder import Ladder, Rung, Step
from bondmate.drivers.modem import Modem
from bondmate.errors import LinkError
from bondmate_sim.serial_end import SerialEnd
from tests.drivers.at_peer import ICCID, IMEI, QUECTEL, SIMCOM, Peer, Quality, Reply, byte_by_byte, clean, lossy, slow
from tests.drivers.modem_desk import HASTY, QUICK, codes, plugged, settings
from tests.eventually import eventually, running

# --- set up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [clean, byte_by_byte, slow])
def test_a_modem_is_set_up_and_tells_how_it_is(quality: Quality, tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, quality=quality) as (modem, peer):
            await eventually(lambda: modem.state().rsrp_dbm, "the signal")
            state = modem.state()
            assert (state.present, state.why_not, state.model) == (True, None, "Quectel EC25")
            assert (state.imei, state.iccid, state.sim) == (IMEI, ICCID, "ready")
            assert (state.registration, state.roaming, state.operator, state.rat) == ("home", False, "MEO", "LTE")
            assert (state.rsrp_dbm, state.rsrq_db, state.sinr_db) == (-102.0, -12.0, 10.0)
            assert (state.refused, state.sockets, state.troubles) == ((), 0, {})
            assert modem.faults() == ()
            assert not peer.echo
            first = [text for text in peer.heard if not text.startswith("\x1b")]
            assert first[:4] == ["AT", "ATE0", "ATV1", "AT+CMEE=2"]
            for text in ("AT+CPSMS=0", "AT+CEDRXS=0", "AT+CEREG=2", "AT+CNMI=2,1,0,1,0", "AT+CMGF=0"):
                assert peer.heard.count(text) == 1

    asyncio.run(main())


def test_the_other_dialect_is_chosen_by_what_the_modem_says(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, SIMCOM) as (modem, _):
            await eventually(lambda: modem.state().rsrp_dbm, "the signal")
            state = modem.state()
            assert (state.model, state.iccid) == ("SIMCom SIM7600", ICCID)
            assert (state.rsrp_dbm, state.rsrq_db, state.sinr_db) == (-67.2, -9.2, 8.0)

    asyncio.run(main())


def test_what_a_model_refuses_is_noted_and_harms_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {"AT+CPSMS=0": "!ERROR", "AT+CEDRXS=0": "!+CME ERROR: 4"}
        async with plugged(tmp_path, replies) as (modem, _):
            assert modem.state().refused == ("AT+CPSMS", "AT+CEDRXS")
            assert modem.faults() == ()

    asyncio.run(main())


def test_a_lossy_line_is_set_up_in_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, times=HASTY, quality=lossy(3)) as (modem, peer):
            socket = None
            for _ in range(20):
                with contextlib.suppress(LinkError):
                    socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
                    break
            assert socket is not None

            def arrived() -> bool:
                socket.send(b"through")
                return b"through" in peer.datagrams

            await eventually(arrived, "a datagram to come through", 20.0)

    asyncio.run(main())


def test_an_unknown_modem_carries_messages_alone_and_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {"ATI": "Acme\r\nX1", "AT+CGMM": "X1"}
        async with plugged(tmp_path, replies) as (modem, peer):
            assert codes(modem) == ["modem-unknown"]
            with pytest.raises(LinkError, match="nobody knows how a Acme opens sockets"):
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            await modem.send_sms("+49170", b"x")
            assert len(peer.messages) == 1

    asyncio.run(main())


# --- SIM and network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        ("!+CME ERROR: 10", "sim-absent", "absent"),
        ("!+CME ERROR: SIM not inserted", "sim-absent", "absent"),
        ("+CPIN: SIM PUK", "sim-puk", "wants its PUK"),
        ("!+CME ERROR: 12", "sim-puk", "wants its PUK"),
        ("+CPIN: PH-NET PIN", "sim-locked", "locked"),
        ("!+CME ERROR: 13", "sim-failed", "failed"),
        ("!+CME ERROR: 14", "sim-failed", "busy"),
        ("+CPIN: SIM PIN", "sim-pin", "no PIN is configured"),
    ],
)
def test_a_sim_that_is_of_no_use_is_a_fault_with_what_to_do(reply: str, code: str, words: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, QUECTEL | {"AT+CPIN?": reply}, ready=False) as (modem, peer):
            await eventually(lambda: codes(modem) == [code], "the fault")
            [fault] = modem.faults()
            assert words in fault.text
            assert fault.next
            assert modem.state().why_not == fault.text
            with pytest.raises(LinkError, match=words):
                await modem.send_sms("+49170", b"x")
            assert not any(text.startswith(("AT+CPIN=", "AT+CPUK")) for text in peer.heard)

    asyncio.run(main())


def test_a_sim_that_is_put_in_is_used_and_one_that_is_taken_out_is_missed(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, QUECTEL | {"AT+CPIN?": "!+CME ERROR: 10"}, ready=False) as (modem, peer):
            await eventually(lambda: codes(modem) == ["sim-absent"], "the fault")
            peer.replies["AT+CPIN?"] = "+CPIN: READY"
            peer.unasked("+QSIMSTAT: 1,1", "+CPIN: READY")
            await eventually(lambda: modem.state().why_not is None, "the SIM to be used")
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.replies["AT+CPIN?"] = "!+CME ERROR: 10"
            peer.unasked("+CPIN: NOT READY")
            await eventually(lambda: codes(modem) == ["sim-absent"], "the SIM to be missed")
            assert await socket.closed == "the SIM is absent"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("reply", "roaming", "words"),
    [
        ("+CEREG: 2,3", False, "denied"),
        ("+CEREG: 2,2", False, "searching"),
        ('+CEREG: 2,5,"1A2B","0102A3F1",7', False, "foreign network"),
        ('+CEREG: 2,5,"1A2B","0102A3F1",7', True, None),
    ],
)
def test_a_network_that_is_of_no_use_is_a_fault(reply: str, roaming: bool, words: str | None, tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {"AT+CEREG?": reply}
        async with plugged(tmp_path, replies, ready=roaming, roaming=roaming) as (modem, peer):
            if words is None:
                assert modem.state().roaming
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)
                return
            await eventually(lambda: codes(modem) == ["not-registered"], "the fault")
            assert words in modem.faults()[0].text
            with pytest.raises(LinkError, match=words):
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            with pytest.raises(LinkError, match=words):
                await modem.send_sms("+49170", b"x")
            assert peer.open == set()
            assert peer.messages == []
            peer.replies["AT+CEREG?"] = QUECTEL["AT+CEREG?"]
            peer.unasked('+CEREG: 1,"1A2B","0102A3F1",7')
            await eventually(lambda: modem.state().why_not is None, "the network to be used")

    asyncio.run(main())


def test_a_socket_does_not_outlast_the_journey_into_a_foreign_network(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.replies["AT+CEREG?"] = '+CEREG: 2,5,"1A2B","0102A3F1",7'
            peer.unasked('+CEREG: 5,"1A2B","0102A3F1",7')
            assert "foreign network" in await socket.closed
            await eventually(lambda: peer.open == set(), "it to be closed in the modem")

    asyncio.run(main())


def test_an_apn_that_cannot_be_said_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        Modem(settings(tmp_path / "modem", apn='a"\rAT+CFUN=0'))


def test_a_network_that_is_found_later_is_looked_at_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {"AT+CEREG?": "+CEREG: 2,2", "AT+COPS?": "+COPS: 0", "AT+QCSQ": '+QCSQ: "NOSERVICE"'}
        async with plugged(tmp_path, replies, ready=False) as (modem, peer):
            await eventually(lambda: "AT+CMGL=4" in peer.heard, "the first look")
            assert (modem.state().operator, modem.state().rsrp_dbm) == (None, None)
            peer.replies |= {command: QUECTEL[command] for command in ("AT+CEREG?", "AT+COPS?", "AT+QCSQ")}
            peer.unasked('+CEREG: 1,"1A2B","0102A3F1",7')
            await eventually(lambda: modem.state().rsrp_dbm == -102.0, "the next look", 4.0)
            assert modem.state().operator == "MEO"

    asyncio.run(main())


def test_an_older_network_is_one_too(tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {"AT+CEREG?": "+CEREG: 2,0", "AT+CREG?": '+CREG: 2,1,"0C1F","9A",0'}
        async with plugged(tmp_path, replies) as (modem, _):
            assert (modem.state().registration, modem.state().rat) == ("home", "GSM")

    asyncio.run(main())


# --- it does not answer, or is not there ------------------------------------------------------------------------------


def test_each_time_that_it_can_send_again_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.drivers.serial_link.BACKOFF_S", 0.02)
    monkeypatch.setattr("bondmate.drivers.serial_link.ABSENT_S", 0.02)

    async def main() -> None:
        told: list[str | None] = []
        modem = Modem(settings(tmp_path / "modem"), times=QUICK)
        modem.on_ready(lambda: told.append(modem.state().why_not))
        async with running(modem.run()):
            for count in (1, 2):
                with SerialEnd(tmp_path / "modem") as end:
                    async with Peer(end):
                        await eventually(lambda count=count: len(told) == count, "it to be ready", 20.0)  # type: ignore[misc]
                        await eventually(lambda: modem.state().rsrp_dbm, "the end of its first look")
                        assert len(told) == count, "once"
                await eventually(lambda: codes(modem) == ["modem-gone"], "the loss")
        assert told == [None, None]

    asyncio.run(main())


def test_a_modem_is_unplugged_and_plugged_in_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.drivers.serial_link.BACKOFF_S", 0.02)

    async def main() -> None:
        modem = Modem(settings(tmp_path / "modem"), times=QUICK)
        async with running(modem.run()):
            for _ in range(10):
                with SerialEnd(tmp_path / "modem") as end:
                    async with Peer(end) as peer:
                        await eventually(lambda: modem.state().why_not is None, "the modem to be ready")
                        socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
                        socket.send(b"here")
                        await eventually(lambda peer=peer: peer.datagrams == [b"here"], "the datagram")  # type: ignore[misc]
                await eventually(lambda: codes(modem) == ["modem-gone"], "the loss")
                assert "is gone" in await socket.closed
                dropped = socket.dropped
                socket.send(b"lost")
                assert socket.dropped == dropped + 1
            reads = modem._line._link.reads
            later = monotonic() + 0.2
            await eventually(lambda: monotonic() > later, "time to pass")
            assert modem._line._link.reads == reads, "no busy loop"

    asyncio.run(main())


def test_a_restart_by_itself_is_noticed_and_the_modem_is_set_up_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.echo, peer.open = True, set()
            peer.unasked("RDY", "+CFUN: 1", "+CPIN: READY")
            assert "began anew" in await socket.closed
            await eventually(lambda: peer.heard.count("ATE0") == 2, "it to be set up again")
            await eventually(lambda: modem.state().why_not is None, "the modem to be ready")
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)

    asyncio.run(main())


class Power:
    """Notes what it is asked for; the modem is well again after that."""

    has_key = has_rail = True

    def __init__(self) -> None:
        self.done: list[str] = []

    async def pulse_key(self) -> None:
        self.done.append("key")

    async def cycle_rail(self) -> None:
        self.done.append("rail")


def short(available: set[Step]) -> Ladder:
    steps = (Step.REOPEN, Step.RESET, Step.PULSE, Step.PULSE, Step.CYCLE)
    return Ladder(available, [Rung(step, 0.3) for step in steps], pauses_s=(0, 0.1))


def test_a_hung_modem_is_helped_step_by_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        power = Power()
        modem = Modem(settings(tmp_path / "modem"), power, HASTY, short)
        with SerialEnd(tmp_path / "modem") as end:
            async with Peer(end) as peer, running(modem.run()):
                await eventually(lambda: modem.state().why_not is None, "the modem to be ready")
                socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
                opened_s = modem._line._link.opened_s
                peer.hung = True
                socket.send(b"a")
                await eventually(lambda: codes(modem) == ["modem-silent"], "the fault")
                assert socket.closed.done()
                with pytest.raises(LinkError, match="does not answer"):
                    await modem.send_sms("+49170", b"x")
                await eventually(lambda: "AT+CFUN=1,1" in peer.heard, "the restart")
                assert modem._line._link.opened_s != opened_s, "it was reopened before"
                assert power.done == []
                await eventually(lambda: modem.state().recovery == Step.PULSE.value, "the step to be told")
                assert Step.PULSE.value in modem.faults()[0].text
                await eventually(lambda: power.done == ["key", "key", "rail"], "the power", 20.0)
                peer.hung = False
                await eventually(lambda: modem.state().why_not is None, "the modem to be ready")
                await eventually(lambda: modem.state().recovery is None, "it to be known as well")
                assert modem.state().troubles["command timed out"] >= 3

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    tried = [record.message.split("trying: ")[1] for record in caplog.records if "trying: " in record.message]
    assert tried[:5] == [Step.REOPEN.value, Step.RESET.value, Step.PULSE.value, Step.PULSE.value, Step.CYCLE.value]


@pytest.mark.parametrize("hangs_at", ["AT+CEREG?", "AT+QISEND=0,1"])
def test_a_modem_that_answers_some_commands_only_is_restarted_too(hangs_at: str, tmp_path: Path) -> None:
    """Whoever counted AT, or what sets it up, as a sign of health would wait for ever."""

    async def main() -> None:
        modem = Modem(settings(tmp_path / "modem"), None, HASTY, short)
        with SerialEnd(tmp_path / "modem") as end:
            async with Peer(end) as peer, running(modem.run()):
                peer.silent_at = lambda text: text == hangs_at
                socket = None
                deadline_s = monotonic() + 20
                while "AT+CFUN=1,1" not in peer.heard:
                    assert monotonic() < deadline_s, "the restart"
                    if socket is None or socket.closed.done():
                        with contextlib.suppress(LinkError):
                            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
                    if socket is not None:
                        socket.send(b"x")
                    await asyncio.sleep(0.01)
                assert peer.heard.count("ATE0") >= 2, "it was reopened before"

    asyncio.run(main())


def test_one_that_is_not_there_is_looked_for_without_haste(tmp_path: Path) -> None:
    async def main() -> None:
        power = Power()
        modem = Modem(settings(tmp_path / "modem"), power, HASTY, short)
        async with running(modem.run()):
            await eventually(lambda: codes(modem) == ["modem-gone"], "the fault")
            await eventually(lambda: "rail" in power.done, "the power to be tried", 20.0)
            assert codes(modem) == ["modem-gone"]
            with pytest.raises(LinkError, match="cannot be opened"):
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)

    asyncio.run(main())


def test_ten_thousand_results_in_a_burst_lose_nothing_that_matters(tmp_path: Path) -> None:
    async def main() -> None:
        # a machine that is busy reads ten thousand lines in more than a second
        async with plugged(tmp_path, times=replace(QUICK, command_s=30.0, prompt_s=30.0)) as (modem, peer):
            got: list[bytes] = []
            socket = await modem.open_udp("192.0.2.1", 5683, got.append)
            for number in range(10_000):
                peer.unasked(('+QIND: "csq",20,99', '+CEREG: 1,"1A2B","0102A3F1",7', "+CREG: 2", "RING")[number % 4])
            socket.send(b"out")
            peer.arrive(0, b"in")
            await eventually(lambda: got == [b"in"] and peer.datagrams == [b"out"], "both datagrams", 30.0)
            assert modem.state().why_not is None
            assert modem._line._digester.held < 100

    asyncio.run(main())


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_neither_numbers_nor_the_pin_are_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pin").write_text("4711\n")

    async def main() -> None:
        replies: dict[str, Reply] = QUECTEL | {"AT+CPIN?": "+CPIN: SIM PIN"}
        async with plugged(
            tmp_path, replies, ready=False, pin_file=tmp_path / "pin", pin_memory=tmp_path / "memory"
        ) as (modem, peer):

            def unlock() -> str:
                peer.replies["AT+CPIN?"] = "+CPIN: READY"
                return ""

            peer.replies['AT+CPIN="4711"'] = unlock
            await eventually(lambda: modem.state().why_not is None, "the modem to be ready")
            await modem.send_sms("+491701234567", b"x")
            peer.sms_result = "\r\n+CMS ERROR: 38\r\n"
            with pytest.raises(LinkError) as refused:
                await modem.send_sms("+491701234567", b"x")
            assert "1701234567" not in str(refused.value)
            assert "4711" not in repr(modem.state()) + str(modem.faults())
            assert IMEI not in repr(modem.state())

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    for secret in ("4711", "1701234567", IMEI, ICCID):
        assert secret not in caplog.text


def test_a_part_of_it_that_fails_is_an_error_and_not_a_modem_that_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        modem = Modem(settings(tmp_path / "modem"), times=QUICK)
        monkeypatch.setattr(modem._boot, "begin", fail)
        with SerialEnd(tmp_path / "modem"), pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(modem.run(), 10)

    asyncio.run(main())


def test_the_end_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.silent_at = lambda text: text.startswith("AT+QISEND")
            socket.send(b"x")
            await eventually(lambda: "AT+QISEND=0,1" in peer.heard, "the command")
        assert socket.closed.done()
        assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()

    asyncio.run(main())
