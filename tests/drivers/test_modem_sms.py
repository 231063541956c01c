"""Short messages over a modem, both ways."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from bondmate.core.pdu import Sms
from bondmate.drivers.modem import Modem
from bondmate.errors import LinkError, UnsureError
from bondmate_sim.serial_end import SerialEnd
from tests.drivers.at_peer import QUECTEL, SIMCOM, Peer, Quality, Reply, byte_by_byte, clean, slow
from tests.drivers.modem_desk import HASTY, QUICK, plugged, settings
from tests.eventually import eventually, running

NUMBER = "+491701234567"
SENT = "0001000C91947110325476000402CAFE"
"""As 3GPP TS 23.040 has it: two octets to that number."""


def incoming(data: str, first: str = "04", scheme: str = "04") -> str:
    return f"07919461197000F0{first}0C9194711032547600{scheme}62110251000080{len(data) // 2:02X}{data}"


@pytest.mark.parametrize("quality", [clean, byte_by_byte, slow])
@pytest.mark.parametrize("replies", [QUECTEL, SIMCOM], ids=["Quectel", "SIMCom"])
def test_a_message_is_sent_as_the_specification_has_it(
    replies: dict[str, Reply], quality: Quality, tmp_path: Path
) -> None:
    async def main() -> None:
        async with plugged(tmp_path, replies, quality=quality) as (modem, peer):
            peer.before_prompt = '\r\n+CMTI: "SM",9\r\n'
            await modem.send_sms(NUMBER, b"\xca\xfe")
            assert peer.messages == [SENT]
            assert "AT+CMGS=15" in peer.heard
            assert modem.state().troubles == {}

    asyncio.run(main())


def test_one_waits_for_the_one_before(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            peer.sms_result = None
            first = asyncio.ensure_future(modem.send_sms(NUMBER, b"1"))
            second = asyncio.ensure_future(modem.send_sms(NUMBER, b"2"))
            await eventually(lambda: len(peer.messages) == 1, "the first")
            peer.unasked("RING")
            assert peer.heard.count("AT+CMGS=14") == 1
            assert not second.done()
            peer.sms_result = "\r\n+CMGS: 2\r\n\r\nOK\r\n"
            peer.say("\r\n+CMGS: 1\r\n\r\nOK\r\n")
            await first
            await second
            assert [pdu[-2:] for pdu in peer.messages] == ["31", "32"]

    asyncio.run(main())


def test_a_late_answer_to_the_one_before_does_not_make_the_next_one_sent(tmp_path: Path) -> None:
    """It comes in front of the prompt; what counts as sent was written, and answered behind it."""

    async def main() -> None:
        async with plugged(tmp_path, times=HASTY) as (modem, peer):
            peer.sms_result = None
            with pytest.raises(UnsureError, match="no answer"):
                await modem.send_sms(NUMBER, b"1")
            peer.sms_result = "\r\n+CMGS: 7\r\n\r\nOK\r\n"
            peer.before_prompt = "\r\n+CMGS: 6\r\n\r\nOK\r\n"
            await modem.send_sms(NUMBER, b"2")
            peer.before_prompt = ""
            await modem.send_sms(NUMBER, b"3")
            assert [pdu[-2:] for pdu in peer.messages] == ["31", "32", "33"]

    asyncio.run(main())


def test_one_that_is_given_up_before_its_turn_is_never_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            peer.sms_result = None
            first = asyncio.ensure_future(modem.send_sms(NUMBER, b"1"))
            await eventually(lambda: len(peer.messages) == 1, "the first")
            opening = asyncio.ensure_future(modem.open_udp("192.0.2.7", 5683, lambda _: None))
            second = asyncio.ensure_future(modem.send_sms(NUMBER, b"2"))
            for _ in range(5):
                await asyncio.sleep(0)
            second.cancel()
            opening.cancel()
            await asyncio.wait({second, opening})
            peer.sms_result = "\r\n+CMGS: 2\r\n\r\nOK\r\n"
            peer.say("\r\n+CMGS: 1\r\n\r\nOK\r\n")
            await first
            await modem.send_sms(NUMBER, b"3")
            assert [pdu[-2:] for pdu in peer.messages] == ["31", "33"]
            assert not [text for text in peer.heard if text.startswith("AT+QIOPEN")]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("\r\n+CMS ERROR: 38\r\n", r"network out of order \(CMS 38\)"),
        ("\r\n+CMS ERROR: network out of order\r\n", r"network out of order \(CMS 38\)"),
        ("\r\n+CMS ERROR: 500\r\n", r"unknown error \(CMS 500\)"),
        ("\r\nERROR\r\n", "ERROR"),
        ("\r\nOK\r\n", "does not say"),
    ],
)
def test_what_the_network_does_not_take_is_an_error_with_its_name(result: str, words: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            peer.sms_result = result
            with pytest.raises(LinkError, match=words):
                await modem.send_sms(NUMBER, b"x")
            assert modem.state().troubles == {"SMS not sent": 1}
            peer.sms_result = "\r\n+CMGS: 7\r\n\r\nOK\r\n"
            await modem.send_sms(NUMBER, b"y")

    asyncio.run(main())


@pytest.mark.parametrize(("number", "octets"), [("nobody", b"x"), (NUMBER, bytes(141))])
def test_what_is_no_message_is_refused_before_the_modem_hears_of_it(number: str, octets: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            with pytest.raises(LinkError, match="cannot be sent as an SMS"):
                await modem.send_sms(number, octets)
            assert not any(text.startswith("AT+CMGS") for text in peer.heard)

    asyncio.run(main())


@pytest.mark.parametrize("stage", ["prompt", "answer"])
def test_one_that_hangs_is_abandoned_and_told(stage: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, times=HASTY) as (modem, peer):
            if stage == "prompt":
                peer.silent_at = lambda text: text.startswith("AT+CMGS")
            else:
                peer.sms_result = None
            with pytest.raises(LinkError, match=rf"no {stage} to AT\+CMGS"):
                await modem.send_sms(NUMBER, b"x")
            peer.silent_at, peer.sms_result = (lambda _: False), "\r\n+CMGS: 7\r\n\r\nOK\r\n"
            await modem.send_sms(NUMBER, b"y")
            assert peer.messages[-1][-2:] == "79"
            assert modem.state().troubles == {"command timed out": 1, "SMS not sent": 1}

    asyncio.run(main())


def test_a_prompt_that_comes_too_late_is_escaped_from(tmp_path: Path) -> None:
    """Else the modem would take all that is said next for the message."""

    async def main() -> None:
        async with plugged(tmp_path, times=HASTY) as (modem, peer):
            await eventually(lambda: "AT+CMGL=4" in peer.heard, "the first look")
            await modem.send_sms(NUMBER, b"w")  # behind all of that look
            say = peer.say
            late: list[str | bytes] = []
            peer.say = late.append  # type: ignore[method-assign, assignment]
            with pytest.raises(LinkError, match="no prompt"):
                await modem.send_sms(NUMBER, b"x")
            peer.say = say  # type: ignore[method-assign]
            await eventually(lambda: "ESC" in peer.heard, "the escape")
            for text in late:
                peer.say(text)
            await modem.send_sms(NUMBER, b"y")
            assert [pdu[-2:] for pdu in peer.messages] == ["77", "79"]

    asyncio.run(main())


def test_unplugged_in_the_middle_of_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bondmate.drivers.serial_link.BACKOFF_S", 0.02)

    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            peer.sms_result = None
            sending = asyncio.ensure_future(modem.send_sms(NUMBER, b"x"))
            await eventually(lambda: peer.messages, "the message to be there, and no result")
            await peer.__aexit__()
            peer.end.__exit__()
            with pytest.raises(LinkError, match="is gone"):
                await sending
            with SerialEnd(tmp_path / "modem") as end:
                async with Peer(end) as new:
                    await eventually(lambda: modem.state().why_not is None, "the modem to be ready again")
                    await modem.send_sms(NUMBER, b"y")
                    assert [pdu[-2:] for pdu in new.messages] == ["79"]

    with contextlib.suppress(OSError):  # the end is closed a second time
        asyncio.run(main())


# --- in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [clean, byte_by_byte, slow])
def test_messages_that_come_are_handed_on_and_erased(quality: Quality, tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, quality=quality) as (modem, peer):
            got: list[Sms] = []
            modem.on_sms(got.append)
            await eventually(lambda: "AT+CMGL=4" in peer.heard, "those before to have been read")
            peer.arrive_sms(3, incoming("CAFE"))
            await eventually(lambda: got, "the message")
            [sms] = got
            assert (sms.sender, sms.octets, sms.is_8_bit, sms.is_concatenated) == (NUMBER, b"\xca\xfe", True, False)
            await eventually(lambda: not peer.store, "it to be erased")
            assert [text for text in peer.heard if text.startswith("AT+CMGR")] == ["AT+CMGR=3"]

    asyncio.run(main())


def test_messages_that_came_while_nobody_listened_are_found(tmp_path: Path) -> None:
    async def main() -> None:
        got: list[Sms] = []
        modem = Modem(settings(tmp_path / "modem"), times=QUICK)
        modem.on_sms(got.append)
        with SerialEnd(tmp_path / "modem") as end:
            async with Peer(end) as peer:
                peer.store = {place: incoming(f"{place:02X}") for place in range(1, 21)}
                async with running(modem.run()):
                    await eventually(lambda: not peer.store, "all to be erased")
        assert [sms.octets for sms in got] == [bytes((place,)) for place in range(1, 21)]

    asyncio.run(main())


def test_one_that_comes_directly_is_taken_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[Sms] = []
            modem.on_sms(got.append)
            peer.unasked(f"+CMT: ,24\r\n{incoming('CAFE')}")
            await eventually(lambda: got, "the message")
            assert got[0].octets == b"\xca\xfe"

    asyncio.run(main())


def test_what_is_no_message_for_us_is_told_apart_and_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[Sms] = []
            modem.on_sms(got.append)
            peer.arrive_sms(1, "FFFF")
            peer.arrive_sms(2, incoming("CAFE", first="06"))  # by its first octet a status report
            peer.arrive_sms(3, incoming("050003A10201CAFE", first="44"))
            peer.arrive_sms(4, incoming("E8329BFD06", scheme="00")[:-12] + "05E8329BFD06")
            await eventually(lambda: not peer.store and len(got) == 2, "all to be read")
            assert [(sms.is_8_bit, sms.is_concatenated) for sms in got] == [(True, True), (False, False)]
            assert modem.state().troubles == {"SMS unreadable": 1, "SMS of another kind": 1}

    asyncio.run(main())


def test_whoever_takes_messages_badly_stops_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[Sms] = []

            def take(sms: Sms) -> None:
                got.append(sms)
                raise ZeroDivisionError

            modem.on_sms(take)
            peer.arrive_sms(1, incoming("01"))
            peer.arrive_sms(2, incoming("02"))
            await eventually(lambda: len(got) == 2 and not peer.store, "both")
            assert modem.state().why_not is None

    asyncio.run(main())


def test_a_place_of_which_was_told_and_that_is_empty(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[Sms] = []
            modem.on_sms(got.append)
            peer.unasked('+CMTI: "SM",7')
            await eventually(lambda: "AT+CMGR=7" in peer.heard, "it to be looked for")
            peer.arrive_sms(8, incoming("CAFE"))
            await eventually(lambda: got, "the next")
            assert modem.state().troubles == {}

    asyncio.run(main())
