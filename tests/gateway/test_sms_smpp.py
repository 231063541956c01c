"""The gateway's way to an SMPP message centre: another author's is the judge, and one of our own does what is odd."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import smpp34

from bondmate_sim.gateway.sms import Sms, SmsError, SmsRefusedError
from bondmate_sim.gateway.sms_smpp import Smpp, SmppLink
from tests.gateway.centre import NUMBER
from tests.gateway.conftest import Gateway
from tests.gateway.twin import compact, digest

PHONE = "+4917000042"
USER, PASSWORD = "bondmate", "s3cr3t-8"
SAR_MSG_REF_NUM, MESSAGE_PAYLOAD = 0x020C, 0x0424
THROTTLED = 0x58
INTERNATIONAL, ALPHANUMERIC, ISDN = 1, 5, 1
WAIT_S = 20.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# --- The judge -----------------------------------------------------------------------------------


class Judge:
    """A message centre of another author, with the one client that is bound."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._server = smpp34.Server("127.0.0.1", port, system_id="judge")
        self.client: Any = None

    async def __aenter__(self) -> "Judge":
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # It ends no session when it stops.
        if self.client is not None:
            await self.client.unbind()
        await self._server.stop()

    async def next(self) -> Any:
        async with asyncio.timeout(WAIT_S):
            return await self._server.next()

    async def bound(self) -> None:
        self.client = await self.next()
        assert isinstance(self.client, smpp34.Esme)
        assert (self.client.system_id, self.client.can_receive) == (USER, True)

    async def deliver(self, octets: bytes, sender: str = PHONE, **other: Any) -> Any:
        facts = {"source_addr_ton": INTERNATIONAL, "source_addr_npi": ISDN, "data_coding": 4} | other
        return await self.client.deliver_sm(
            NUMBER.removeprefix("+"), octets, source_addr=sender.removeprefix("+"), **facts
        )


@contextlib.asynccontextmanager
async def judged() -> AsyncIterator[tuple[Judge, SmppLink]]:
    async with (
        Judge(free_port()) as judge,
        Smpp("127.0.0.1", judge.port, NUMBER, USER, PASSWORD).connect() as link,
    ):
        await judge.bound()
        yield judge, link


def test_a_message_is_answered_when_it_is_acknowledged_and_not_before() -> None:
    async def story() -> None:
        async with judged() as (judge, link):
            octets = bytes(range(100, 240))
            delivering = asyncio.create_task(judge.deliver(octets))
            sms = await link.receive()
            assert sms == Sms(sms.delivery, PHONE, octets, eight_bit=True, whole=True)
            done, _ = await asyncio.wait([delivering], timeout=0.2)
            assert not done
            await link.acknowledge(sms)
            assert (await delivering).is_success

    asyncio.run(story())


@pytest.mark.parametrize(
    ("facts", "eight_bit", "whole"),
    [
        ({"data_coding": 0xF5}, True, True),
        ({"data_coding": 0}, False, True),
        ({"data_coding": 8}, False, True),
        ({"data_coding": 0xF1}, False, True),
        ({"esm_class": 0x40}, True, False),
        ({"esm_class": 0xC0}, True, False),
        ({"esm_class": 0x80}, True, True),
        ({"esm_class": 0x04}, True, False),
        ({"tlvs": [smpp34.Tlv(SAR_MSG_REF_NUM, b"\0\1")]}, True, False),
    ],
)
def test_what_it_says_of_a_message_arrives_too(facts: dict[str, Any], eight_bit: bool, whole: bool) -> None:
    async def story() -> None:
        async with judged() as (judge, link):
            delivering = asyncio.create_task(judge.deliver(b"data", **facts))
            sms = await link.receive()
            assert (sms.octets, sms.eight_bit, sms.whole) == (b"data", eight_bit, whole)
            await link.acknowledge(sms)
            await delivering

    asyncio.run(story())


def test_senders_and_payloads_of_other_kinds() -> None:
    async def story() -> None:
        async with judged() as (judge, link):
            for sender, ton, expected in (("VODAFONE", ALPHANUMERIC, "VODAFONE"), ("0170", 2, "0170")):
                delivering = asyncio.create_task(judge.deliver(b"data", sender, source_addr_ton=ton))
                sms = await link.receive()
                await link.acknowledge(sms)
                await delivering
                assert sms.sender == expected
            payload = smpp34.Tlv(MESSAGE_PAYLOAD, bytes(300))
            delivering = asyncio.create_task(judge.deliver(b"", tlvs=[payload]))
            sms = await link.receive()
            await link.acknowledge(sms)
            await delivering
            assert sms.octets == bytes(300)

    asyncio.run(story())


@pytest.mark.parametrize(("number", "ton"), [(PHONE, INTERNATIONAL), ("017000042", 0)])
def test_a_message_is_submitted_as_eight_bit_data(number: str, ton: int) -> None:
    async def story() -> None:
        async with judged() as (judge, link):
            octets = bytes(range(140))
            sending = asyncio.create_task(link.send(number, octets))
            seen = await judge.next()
            assert isinstance(seen, smpp34.SubmitSmEvent)
            assert (seen.short_message, seen.data_coding, seen.esm_class) == (octets, 4, 0)
            assert (seen.destination_addr, seen.dest_addr_ton) == (number.removeprefix("+"), ton)
            assert (seen.source_addr, seen.source_addr_ton) == (NUMBER.removeprefix("+"), INTERNATIONAL)
            assert (seen.dest_addr_npi, seen.source_addr_npi) == (ISDN, ISDN)
            assert (seen.registered_delivery, seen.protocol_id, seen.tlvs) == (0, 0, [])
            assert not sending.done()
            seen.accept("m1")
            await sending

    asyncio.run(story())


def test_a_message_that_is_refused_ends_no_session() -> None:
    async def story() -> None:
        async with judged() as (judge, link):
            for _ in range(2):
                sending = asyncio.create_task(link.send(PHONE, b"receipt"))
                (await judge.next()).reject(THROTTLED)
                with pytest.raises(SmsRefusedError, match="EsmeRthrottled"):
                    await sending

    asyncio.run(story())


# --- What the judge does not do ------------------------------------------------------------------

DELIVER, UNBIND, BIND, OTHER = 0x05, 0x06, 0x09, 0x777
RESPONSE = 0x8000_0000
WRONG_PASSWORD = 0x0E


def pdu(command: int, body: bytes = b"", *, status: int = 0, sequence: int = 1) -> bytes:
    """Return a PDU (SMPP, section 3.2)."""
    return struct.pack(">IIII", 16 + len(body), command, status, sequence) + body


async def centre(says: Callable[[asyncio.StreamWriter], None], status: int = 0) -> asyncio.Server:
    """Start a message centre that answers the bind, and then says what the test says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, command, _, sequence = struct.unpack(">IIII", await reader.readexactly(16))
        assert command == BIND
        body = await reader.readexactly(length - 16)
        assert body == f"{USER}\0{PASSWORD}\0\0".encode() + b"\x34\0\0\0"
        writer.write(pdu(RESPONSE | BIND, b"odd\0" if status == 0 else b"", status=status, sequence=sequence))
        says(writer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        while await reader.read(1000):
            pass
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def with_centre(
    says: Callable[[asyncio.StreamWriter], None], does: Callable[[SmppLink], Awaitable[Any]], status: int = 0
) -> Any:
    async def story() -> Any:
        async with await centre(says, status) as server:
            port = server.sockets[0].getsockname()[1]
            async with Smpp("127.0.0.1", port, NUMBER, USER, PASSWORD).connect() as link:
                return await does(link)

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (pdu(UNBIND), "it ended the session"),
        (pdu(OTHER, b"abc") + pdu(UNBIND), "it ended the session"),
        (pdu(DELIVER, b"\0\1\1"), "the session broke"),
        (b"\0\0\0\4" + bytes(12), "the session broke"),
        (b"\x7f\xff\xff\xff" + bytes(12), "the session broke"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the session broke"),
    ],
)
def test_what_is_not_the_protocol_ends_the_session(octets: bytes, why: str) -> None:
    with pytest.raises(SmsError, match=why):
        with_centre(lambda writer: writer.write(octets), SmppLink.receive)


def test_a_session_that_breaks_is_an_error_of_all_that_is_done_with_it() -> None:
    async def does(link: SmppLink) -> None:
        with pytest.raises(SmsError, match=r"session broke|closed the connection"):
            await link.receive()
        with pytest.raises(SmsError, match="could not be submitted"):
            await link.send(PHONE, b"receipt")
        with pytest.raises(SmsError, match="could not be answered"):
            await link.acknowledge(Sms("1", PHONE, b"", eight_bit=True, whole=True))

    with_centre(asyncio.StreamWriter.close, does)


def test_a_wrong_password_is_an_error_that_does_not_tell_it() -> None:
    with pytest.raises(
        SmsError, match=r"does not bind bondmate .*check the name in --sms and --sms-password-file"
    ) as e:
        with_centre(lambda _: None, SmppLink.receive, WRONG_PASSWORD)
    assert PASSWORD not in str(e.value)


def test_the_librarys_own_log_which_tells_the_password_is_never_heard(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(SmsError):
        with_centre(lambda writer: writer.write(pdu(DELIVER, b"\0\1\1")), SmppLink.receive)
    assert [each for each in caplog.records if each.name.startswith("rusmpp")] == []
    assert PASSWORD not in caplog.text


def test_a_centre_that_is_not_there_is_an_error() -> None:
    async def story() -> None:
        async with Smpp("127.0.0.1", free_port(), NUMBER, USER, PASSWORD).connect():
            raise AssertionError

    with pytest.raises(SmsError, match=r"cannot be reached .*check the address in --sms"):
        asyncio.run(story())


# --- A gateway process ---------------------------------------------------------------------------


def test_an_alert_over_smpp_is_held_and_receipted_and_the_centre_may_go_and_come_back(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    port = free_port()
    options = ("--sms", f"smpp:{USER}@127.0.0.1:{port}", "--sms-number", NUMBER, "--sms-password-file", str(password))
    gateway = Gateway(tmp_path, *options)

    async def once(submission: bytes) -> bytes:
        async with Judge(port) as judge:
            if gateway.process is None:
                gateway.start()
            await judge.bound()
            delivering = asyncio.create_task(judge.deliver(submission))
            seen = await judge.next()
            seen.accept("m1")
            assert (await delivering).is_success
            assert seen.destination_addr == PHONE.removeprefix("+")
            return bytes(seen.short_message)

    with gateway.twin(bearer="sms") as device:
        first = device.record()
        second = device.record(sequence=2, previous=digest(first)[:4])
        for record in (first, second):
            assert device.take_sms(asyncio.run(once(device.sms(compact(record)))))[3:] == [digest(record)[:16], 0]
        assert [each["bearer"] for each in gateway.alerts(device.name)] == ["sms", "sms"]
    assert gateway.end() == 0
    assert "trying again in 1 s" in gateway.log
    assert PASSWORD not in gateway.log
    assert "Traceback" not in gateway.log
