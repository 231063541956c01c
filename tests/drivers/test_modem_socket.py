"""UDP sockets inside a modem, in both dialects, over good and bad lines."""

import asyncio
import contextlib
import re
from collections import deque
from pathlib import Path

import pytest

from bondmate.core.dialects import MAX_DATAGRAM
from bondmate.drivers import modem_socket
from bondmate.drivers.modem import Modem
from bondmate.drivers.modem_datagrams import MAX_WAITING
from bondmate.errors import LinkError
from bondmate_sim.serial_end import SerialEnd
from tests.drivers.at_peer import QUECTEL, SIMCOM, Peer, Quality, Reply, byte_by_byte, clean, slow
from tests.drivers.modem_desk import HASTY, plugged, settings
from tests.eventually import eventually, running

MODELS = [pytest.param(QUECTEL, id="Quectel"), pytest.param(SIMCOM, id="SIMCom")]
NASTY = b"\r\nOK\r\n\x1a\x1b> +++\x00\xffERROR\r\n"


@pytest.mark.parametrize("replies", MODELS)
@pytest.mark.parametrize("quality", [clean, byte_by_byte, slow])
def test_datagrams_pass_both_ways_as_they_are(replies: dict[str, Reply], quality: Quality, tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, replies, quality=quality) as (modem, peer):
            got: list[bytes] = []
            socket = await modem.open_udp("192.0.2.1", 5683, got.append)
            assert modem.state().sockets == 1
            out = [NASTY, bytes(range(256)), b"\n"]
            for datagram in out:
                socket.send(datagram)
            await eventually(lambda: peer.datagrams == out, "the datagrams to be sent")
            for datagram in out:
                peer.arrive(0, datagram)
            await eventually(lambda: got == out, "the datagrams to come")
            assert socket.dropped == 0
            assert modem.state().troubles == {}
            socket.close()
            assert await socket.closed == "it was closed here"
            await eventually(lambda: peer.open == set(), "the socket to be closed in the modem")
            await eventually(lambda: modem.state().sockets == 0, "its number to be free")

    asyncio.run(main())


def test_what_the_manuals_want_is_said_in_its_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, SIMCOM) as (modem, peer):
            socket = await modem.open_udp("gateway.example", 5683, lambda _: None)
            socket.send(b"abc")
            await eventually(lambda: peer.datagrams, "the datagram")
            said = [text for text in peer.heard if re.match(r"AT\+(NETO|CIPO|CIPSE|CDNS)", text)]
            assert said == [
                "AT+NETOPEN?", "AT+NETOPEN", 'AT+CDNSGIP="gateway.example"', 'AT+CIPOPEN=0,"UDP",,,49152',
                'AT+CIPSEND=0,3,"192.0.2.1",5683',
            ]  # fmt: skip
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            assert peer.heard.count("AT+NETOPEN") == 1, "it is open"

    asyncio.run(main())


def test_results_before_the_prompt_and_data_that_look_like_results_confuse_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[bytes] = []
            socket = await modem.open_udp("192.0.2.1", 5683, got.append)
            peer.before_prompt = '\r\n+QIURC: "recv",0\r\n\r\n+CEREG: 1,"1A2B","0102A3F1",7\r\n'
            peer.waiting[0].extend([NASTY, b"two"])
            socket.send(b"out")
            await eventually(lambda: got == [NASTY, b"two"] and peer.datagrams == [b"out"], "all datagrams")

    asyncio.run(main())


def test_two_sockets_are_two_and_what_is_too_many_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modem_socket, "MAX_SOCKETS", 2)

    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            first: list[bytes] = []
            second: list[bytes] = []
            await modem.open_udp("192.0.2.1", 5683, first.append)
            other = await modem.open_udp("192.0.2.1", 5683, second.append)
            with pytest.raises(LinkError, match="2 sockets are open"):
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.arrive(1, b"b")
            peer.arrive(0, b"a")
            await eventually(lambda: (first, second) == ([b"a"], [b"b"]), "each its own")
            other.close()
            await eventually(lambda: modem.state().sockets == 1, "one to be closed")
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)

    asyncio.run(main())


def test_one_that_an_earlier_run_left_open_is_closed_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            peer.open = {0, 1}
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)

    asyncio.run(main())


# --- sending never waits, and is bounded --------------------------------------------------------------


def test_what_is_too_much_or_too_long_is_dropped_and_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            socket.send(bytes(MAX_DATAGRAM + 1))
            socket.send(b"")
            assert socket.dropped == 2
            for number in range(MAX_WAITING + 5):
                socket.send(b"%d" % number)
            assert socket.dropped == 2 + 5
            await eventually(lambda: len(peer.datagrams) == MAX_WAITING, "the others")
            assert peer.datagrams == [b"%d" % number for number in range(MAX_WAITING)]
            socket.send(bytes(MAX_DATAGRAM))
            await eventually(lambda: peer.datagrams[-1] == bytes(MAX_DATAGRAM), "the longest")

    asyncio.run(main())


# --- what goes wrong ----------------------------------------------------------------------------------


def test_a_full_buffer_is_tried_again_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.send_results = deque(["\r\nSEND FAIL\r\n"])
            socket.send(b"late")
            await eventually(lambda: peer.datagrams == [b"late"], "the datagram")
            assert modem.state().troubles == {"buffer full": 1}
            peer.send_results = deque(["\r\nSEND FAIL\r\n"] * 2)
            socket.send(b"never")
            socket.send(b"next")
            await eventually(lambda: peer.datagrams == [b"late", b"next"], "the next")
            assert (socket.dropped, modem.state().troubles) == (1, {"buffer full": 3})
            assert not socket.closed.done()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("replies", "unasked", "why", "trouble"),
    [
        (QUECTEL, '+QIURC: "closed",0', "has lost it", "socket lost"),
        (QUECTEL, '+QIURC: "pdpdeact",1', "PDP context", "PDP deactivated"),
        (SIMCOM, "+IPCLOSE: 0,1", "has lost it", "socket lost"),
        (SIMCOM, "+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY", "PDP context", "PDP deactivated"),
        (SIMCOM, "+CIPSEND: 0,3,-1", "could not send", "socket lost"),
    ],
)
def test_a_socket_that_is_lost_says_why_and_another_can_be_opened(
    replies: dict[str, Reply], unasked: str, why: str, trouble: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with plugged(tmp_path, replies) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.unasked(unasked)
            assert why in await socket.closed
            assert modem.state().troubles == {trouble: 1}
            socket.send(b"x")
            assert socket.dropped == 1
            again = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            again.send(b"y")
            await eventually(lambda: peer.datagrams == [b"y"], "the datagram")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("replies", "unasked", "cleared"),
    [
        (QUECTEL, '+QIURC: "pdpdeact",1', "AT+QIDEACT=1"),
        (SIMCOM, "+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY", "AT+NETCLOSE"),
    ],
)
def test_what_is_left_of_a_context_is_cleared_before_the_next(
    replies: dict[str, Reply], unasked: str, cleared: str, tmp_path: Path
) -> None:
    """Quectel's manual, of pdpdeact; else the next activation fails."""

    async def main() -> None:
        async with plugged(tmp_path, replies) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            assert cleared not in peer.heard
            peer.unasked(unasked)
            await socket.closed
            for _ in range(2):
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            assert peer.heard.count(cleared) == 1
            last = len(peer.heard) - 1 - peer.heard[::-1].index(cleared)
            assert any("OPEN" in text for text in peer.heard[last:])

    asyncio.run(main())


def test_a_socket_over_which_nothing_is_sent_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.open.clear()
            socket.send(b"x")
            assert "does not send over it: ERROR" in await socket.closed
            assert modem.state().troubles == {"send failed": 1, "socket lost": 1}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("replies", "change", "words"),
    [
        (QUECTEL, {"AT+QIACT=1": "!ERROR"}, "no PDP context: ERROR"),
        (QUECTEL, {"AT+QIACT=1": "!+CME ERROR: 30"}, r"no network service \(CME 30\)"),
        (QUECTEL, {'AT+QIOPEN=1,0,"UDP","192.0.2.1",5683,0,0': "!+CME ERROR: 3"}, "operation not allowed"),
        (SIMCOM, {"AT+NETOPEN": "!+NETOPEN: 1\r\n\r\nOK"}, "network failure"),
        (SIMCOM, {"AT+NETOPEN": "!ERROR"}, "no PDP context"),
        (SIMCOM, {'AT+CIPOPEN=0,"UDP",,,49152': "!+CIPOPEN: 0,6\r\n\r\nOK"}, "failed to bind socket"),
    ],
)
def test_a_socket_that_cannot_be_opened_says_why_and_the_next_attempt_is_a_new_one(
    replies: dict[str, Reply], change: dict[str, Reply], words: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with plugged(tmp_path, replies | change) as (modem, peer):
            with pytest.raises(LinkError, match=words):
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            assert modem.state().sockets == 0
            assert sum(modem.state().troubles.values()) == 1
            for command in change:
                del peer.replies[command]
            peer.replies |= {command: replies[command] for command in change if command in replies}
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)

    asyncio.run(main())


def test_a_modem_that_goes_while_a_socket_is_opened(tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {'AT+QIOPEN=1,0,"UDP","192.0.2.1",5683,0,0': ""}
        async with plugged(tmp_path, replies) as (modem, peer):
            opening = asyncio.ensure_future(modem.open_udp("192.0.2.1", 5683, lambda _: None))
            await eventually(lambda: peer.heard[-1].startswith("AT+QIOPEN"), "the command")
            peer.unasked("RDY")
            with pytest.raises(LinkError, match="began anew"):
                await opening
            await eventually(lambda: modem.state().why_not is None, "the modem to be ready again")
            assert modem.state().sockets == 0

    asyncio.run(main())


def test_a_datagram_that_the_modem_took_and_could_not_keep_is_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path, SIMCOM) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.send_results = deque(["\r\nOK\r\n\r\n+CIPSEND: 0,3,0\r\n"])
            socket.send(b"abc")
            await eventually(lambda: modem.state().troubles == {"buffer full": 1}, "it to be counted")
            assert socket.dropped == 1
            assert not socket.closed.done()

    asyncio.run(main())


def test_what_comes_without_end_does_not_keep_what_goes_from_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bondmate.drivers.modem_socket.MAX_READS", 3)

    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[bytes] = []
            socket = await modem.open_udp("192.0.2.1", 5683, got.append)
            peer.waiting[0].extend(b"%d" % number for number in range(100))
            peer.unasked('+QIURC: "recv",0')
            await eventually(lambda: got, "the first")
            socket.send(b"out")
            await eventually(lambda: peer.datagrams, "the datagram")
            assert len(got) < 50
            await eventually(lambda: len(got) == 100, "all the others")

    asyncio.run(main())


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    async def main() -> None:
        replies = SIMCOM | {'AT+CDNSGIP="nobody.example"': "!+CDNSGIP: 0,10\r\n\r\nERROR"}
        async with plugged(tmp_path, replies) as (modem, _):
            with pytest.raises(LinkError, match=r"does not know nobody\.example"):
                await modem.open_udp("nobody.example", 5683, lambda _: None)
            with pytest.raises(LinkError, match="cannot be said"):
                await modem.open_udp('a"b', 5683, lambda _: None)

    asyncio.run(main())


def test_a_result_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        replies = QUECTEL | {'AT+QIOPEN=1,0,"UDP","192.0.2.1",5683,0,0': ""}
        async with plugged(tmp_path, replies, times=HASTY) as (modem, peer):
            with pytest.raises(LinkError, match="did not say what came of it"):
                await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            del peer.replies['AT+QIOPEN=1,0,"UDP","192.0.2.1",5683,0,0']
            peer.unasked("+QIOPEN: 0,0")
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)

    asyncio.run(main())


def test_whoever_takes_datagrams_badly_stops_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[bytes] = []

            def take(datagram: bytes) -> None:
                got.append(datagram)
                raise ZeroDivisionError

            await modem.open_udp("192.0.2.1", 5683, take)
            peer.arrive(0, b"a")
            peer.arrive(0, b"b")
            await eventually(lambda: got == [b"a", b"b"], "both")
            assert modem.state().why_not is None

    asyncio.run(main())


def test_what_came_is_found_though_the_modem_was_not_heard_to_say_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            got: list[bytes] = []
            await modem.open_udp("192.0.2.1", 5683, got.append)
            peer.waiting[0].append(b"unheard")
            peer.unasked("+CPIN: READY")  # anything that makes it look
            await eventually(lambda: got == [b"unheard"], "the datagram")

    asyncio.run(main())


@pytest.mark.parametrize("replies", MODELS)
def test_unplugged_in_the_middle_of_sending(
    replies: dict[str, Reply], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the prompt and the result."""
    monkeypatch.setattr("bondmate.drivers.serial_link.BACKOFF_S", 0.02)

    async def main() -> None:
        async with plugged(tmp_path, replies) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            peer.send_results = deque([""])
            socket.send(b"cut off")
            await eventually(lambda: not peer.send_results, "the octets to be there, and no result")
            await peer.__aexit__()
            peer.end.__exit__()
            assert "is gone" in await socket.closed
            assert socket.dropped == 1
            with SerialEnd(tmp_path / "modem") as end:
                async with Peer(end, dict(replies)) as new:
                    await eventually(lambda: modem.state().why_not is None, "the modem to be ready again")
                    again = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
                    again.send(b"whole")
                    await eventually(lambda: new.datagrams == [b"whole"], "the next datagram")
                    assert modem.faults() == ()

    with contextlib.suppress(OSError):  # the end is closed a second time
        asyncio.run(main())


def test_a_datagram_of_which_octets_got_lost_does_not_swallow_what_follows(tmp_path: Path) -> None:
    """The modem waits for the rest: what is said next would be taken for it."""

    async def main() -> None:
        async with plugged(tmp_path, times=HASTY) as (modem, peer):
            socket = await modem.open_udp("192.0.2.1", 5683, lambda _: None)
            take, lost = peer._take, list[bytes]()

            def lossy(octet: bytes) -> None:
                if peer.wants_data and len(lost) < 3:
                    lost.append(octet)
                else:
                    take(octet)

            peer._take = lossy  # type: ignore[method-assign]
            socket.send(b"broken")
            socket.send(b"whole")
            await eventually(lambda: b"whole" in peer.datagrams, "the next datagram")
            assert len(lost) == 3
            assert not socket.closed.done()
            assert modem.state().troubles == {"command timed out": 1, "send failed": 1}

    asyncio.run(main())


def test_whoever_does_not_wait_any_longer_disturbs_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with plugged(tmp_path) as (modem, peer):
            gate: list[str | None] = [None]
            peer.replies["AT+QIACT=1"] = lambda: gate[0]
            opening = asyncio.ensure_future(modem.open_udp("192.0.2.1", 5683, lambda _: None))
            await eventually(lambda: "AT+QIACT=1" in peer.heard, "the command")
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            sending = asyncio.ensure_future(modem.send_sms("+49170", b"x"))
            peer.say("\r\nOK\r\n")
            await sending
            assert modem.state().troubles == {}
            assert modem.state().sockets == 0
            gate[0] = ""
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)

    asyncio.run(main())


def test_a_socket_is_for_a_running_driver(tmp_path: Path) -> None:
    async def main() -> None:
        modem = Modem(settings(tmp_path / "modem"))
        with pytest.raises(LinkError, match="not ready yet"):
            await modem.open_udp("192.0.2.1", 5683, lambda _: None)
        async with running(modem.run()):
            pass

    asyncio.run(main())
