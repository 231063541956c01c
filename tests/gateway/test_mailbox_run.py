"""Mailboxes over the wire: a person's command, the running gateway, and a device that it wakes."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiocoap
from aiocoap import resource
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper
from aiocoap.transports.oscore import OSCOREAddress
from cryptography.hazmat.primitives import serialization
from cwt import COSE, COSEKey

from bondmate_sim.gateway.database import Database
from tests.gateway import twin
from tests.gateway.cddl import validate_messages
from tests.gateway.centre import NUMBER, MessageCentre
from tests.gateway.conftest import COMMAND, Gateway, command
from tests.gateway.twin import Twin, digest

SENDER = "+4917000042"


def test_an_alert_is_acknowledged_and_closed_and_the_device_told(gateway: Gateway) -> None:
    with gateway.twin() as device:
        call = device.record()
        device.submit(call)
        (alert,) = gateway.alerts(device.name)
        for act, kind, state in (("ack", 4, "acknowledged"), ("close", 5, "closed")):
            done = command(act, alert["alert_id"], "--by", "Ann", "--data", gateway.data)
            assert device.take_push().opt.uri_path == ("w",)
            (message,) = device.fetch(done["number"] - 1)
            assert (message[2], message[6], message[7]) == (kind, "Ann", [[digest(call)[:16]]])
            assert gateway.alerts(device.name)[0]["state"] == state
        assert device.fetch(2) == []
        assert gateway.device(device.name)["mailbox"] == {"newest": 2, "fetched": 2}
        assert command(act, alert["alert_id"], "--data", gateway.data)["already"]
        assert device.fetch(2) == []


def test_what_is_fetched_validates_and_verifies_with_an_independent_library(gateway: Gateway) -> None:
    with gateway.twin() as device:
        command("message", device.name, "come in", "--data", gateway.data)
        response = device.answer(device.ask_for_messages(0))
        (tagged,) = validate_messages(response.payload)
        (shown,) = command("messages", device.name, "--data", gateway.data)
        assert shown["message_hex"] == tagged.hex()
        ((key_id, public),) = device.gateway_keys.items()
        key = COSEKey.from_pem(
            public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            alg="ES256",
            kid=key_id,
        )
        assert COSE.new().decode(tagged, key, external_aad=bytes.fromhex(shown["external_aad_hex"]))


class Device:
    """A device of the library's own: aiocoap's client and server, with its OSCORE, on one socket."""

    def __init__(self, known: Twin, client: aiocoap.Context, remote: Any) -> None:
        self.context = known.context
        self._client = client
        self._remote = OSCOREAddress(known.context, remote)
        self.woken: asyncio.Queue[bytes] = asyncio.Queue()

    def find_oscore(self, _: object) -> Any:
        return self.context

    async def ask(self, code: Any, path: str, payload: bytes = b"", query: tuple[str, ...] = ()) -> Any:
        message = aiocoap.Message(code=code, uri_path=[path], uri_query=query, payload=payload)
        message.remote = self._remote
        async with asyncio.timeout(twin.WAIT_S):
            return await self._client.request(message).response


class Wake(resource.Resource):  # type: ignore[misc]
    """The device's `/w`."""

    def __init__(self, woken: "asyncio.Queue[bytes]") -> None:
        super().__init__()
        self._woken = woken

    async def render_post(self, request: Any) -> Any:
        self._woken.put_nowait(request.payload)
        return aiocoap.Message(code=aiocoap.CHANGED)


@contextlib.asynccontextmanager
async def library_device(known: Twin, address: tuple[str, int]) -> AsyncIterator[Device]:
    client = await aiocoap.Context.create_client_context(transports=["oscore", "udp6"])
    try:
        host, port = address
        resolved = aiocoap.Message(code=aiocoap.POST, uri=f"coap://{host}:{port}")
        await client.find_remote_and_interface(resolved)
        device = Device(known, client, resolved.remote)
        site = resource.Site()
        site.add_resource(["w"], Wake(device.woken))
        client.serversite = OscoreSiteWrapper(site, device)
        yield device
    finally:
        await client.shutdown()


async def write(gateway: Gateway, device: str, *arguments: str) -> None:
    """Write a message as a person does: by a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "message", device, *arguments, "--data", str(gateway.data)), stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


def test_a_message_that_another_process_wrote_wakes_a_device_of_the_library(gateway: Gateway) -> None:
    async def story() -> None:
        async with library_device(known, gateway.address) as device:
            assert (await device.ask(aiocoap.POST, "r", known.record())).code == aiocoap.CHANGED
            for number, text in enumerate(("come in", "at once"), 1):
                await write(gateway, known.name, text)
                async with asyncio.timeout(twin.WAIT_S):
                    assert await device.woken.get() == b""
                response = await device.ask(aiocoap.GET, "m", query=(str(number - 1),))
                assert [each[7][0] for each in known.mail(response.payload)] == [text]

    with gateway.twin() as known:
        asyncio.run(story())
        assert "Traceback" not in gateway.log


def test_a_wake_up_waits_until_a_device_is_heard_and_a_restart_loses_nothing(own_gateway: Gateway) -> None:
    with own_gateway.twin() as device:
        device.submit(device.record())
        command("message", device.name, "come in", "--data", own_gateway.data)
        assert device.take_push().opt.uri_path == ("w",)
        own_gateway.end(signal.SIGKILL)
        own_gateway.start()
        # Nobody knows its address yet.
        device.submit(device.record(sequence=2, previous=bytes(4)))
        assert device.take_push().opt.uri_path == ("w",)
        assert [each[7][0] for each in device.fetch(0)] == ["come in"]


def test_devices_whose_ports_are_closed_take_no_wake_up_from_others(own_gateway: Gateway) -> None:
    with contextlib.ExitStack() as stack:
        twins = [stack.enter_context(own_gateway.twin()) for _ in range(4)]
        for each in twins:
            command("group", each.name, "all", "--data", own_gateway.data)
            each.submit(each.record())
        gone, *there = sorted(twins, key=lambda each: each.name)  # in the order in which they are woken
        gone.socket.close()
        command("alert", "--group", "all", "come in", "--data", own_gateway.data)
        for each in there:
            assert each.take_push().opt.uri_path == ("w",)


def test_a_datagram_that_asked_is_not_answered_again(gateway: Gateway) -> None:
    with gateway.twin() as device:
        command("message", device.name, "secret", "--data", gateway.data)
        request = device.ask_for_messages(0)
        assert device.answer(request).code == aiocoap.CONTENT
        replayed = twin.ask(gateway.address, request.raw)
        assert (replayed.code, replayed.payload) == (aiocoap.UNAUTHORIZED, b"")


def test_an_assistance_message_reaches_a_colleague_who_is_near(gateway: Gateway) -> None:
    with gateway.twin() as officer, gateway.twin() as colleague:
        for each in (officer, colleague):
            command("group", each.name, f"of-{officer.name}", "--data", gateway.data)
        colleague.submit(colleague.record(48, clock=None))
        officer.submit(officer.record(clock=None))
        assert colleague.take_push().opt.uri_path == ("w",)
        (message,) = colleague.fetch(0)
        assert (message[2], message[7][1], message[7][3]) == (3, ["I am going", "I cannot"], 1)
        assert officer.fetch(0) == []


def test_an_urgent_message_wakes_by_sms_once_also_over_a_restart(tmp_path: Path) -> None:
    with MessageCentre() as centre:
        served = Gateway(tmp_path, "--sms", f"centre:{centre.place}", "--sms-number", NUMBER)
        served.start()
        try:
            centre.attach()
            with served.twin(bearer="sms") as device:
                first = device.record()
                centre.deliver(SENDER, device.sms(twin.compact(first)))
                assert device.take_sms(centre.submitted(SENDER))[4] == 0
                command("message", device.name, "come in", "--urgent", "--data", served.data)
                with contextlib.closing(Database(served.data, create=False)) as database, database.transaction():
                    # So that nobody has to wait for ten seconds to pass.
                    database.rows("UPDATE message SET written_ms = written_ms - 10000")
                wake = device.open_sms(centre.submitted(SENDER))
                assert (wake.opt.uri_path, wake.payload) == (("w",), b"")
                assert command("messages", device.name, "--data", served.data)[0]["woken_by_sms_at"] is not None
                served.end(signal.SIGKILL)
                served.start()
                centre.attach()
                second = device.record(sequence=2, previous=digest(first)[:4])
                centre.deliver(SENDER, device.sms(twin.compact(second)))
                assert device.take_sms(centre.submitted(SENDER))[2] == 2, "the next SMS is the receipt"
        finally:
            served.end(signal.SIGKILL)
