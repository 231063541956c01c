"""The modem's client of the message centre, against a server that the test plays by hand."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from bondmate_sim import smsc_client
from bondmate_sim.modem_effects import Acknowledge, Attach, Detach, Submit
from bondmate_sim.short_message import Delivery, UserData
from bondmate_sim.smsc_client import CentreClient
from tests.eventually import eventually

NUMBER = "+4915550001"
DATA = UserData(4, False, 1, b"\xff")
DELIVER = {"type": "deliver", "id": "c1", "from": "+49", "time": "2026-11-26T10:00:00Z", "dcs": 4, "udhi": False}


class Server:
    """What clients said, and a way to answer the last one."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            self.said.append(json.loads(line))
        writer.close()

    def send(self, **message: Any) -> None:
        self.writers[-1].write(json.dumps(message).encode() + b"\n")


class Scene:
    """A client and its server."""

    def __init__(self, port: int, server: Server) -> None:
        self.server = server
        self.answers: list[tuple[str, str | None]] = []
        self.deliveries: list[Delivery] = []
        self.client = CentreClient(
            ("127.0.0.1", port),
            NUMBER,
            submitted=lambda name, why: self.answers.append((name, why)),
            delivered=self.deliveries.append,
        )

    async def said(self, *kinds: str) -> None:
        await eventually(lambda: [one["type"] for one in self.server.said] == list(kinds), f"{kinds}")


@contextlib.asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        one = Scene(listener.sockets[0].getsockname()[1], server)
        yield one
        await one.client.close()
        for writer in server.writers:
            writer.close()


def test_it_attaches_submits_and_hears() -> None:
    async def act() -> None:
        async with scene() as one:
            one.client.do(Attach())
            one.client.do(Submit("m1", "+4900", DATA))  # before there is a connection
            await one.said("attach", "submit")
            assert one.server.said == [
                {"type": "attach", "number": NUMBER},
                {"type": "submit", "id": "m1", "to": "+4900", "dcs": 4, "udhi": False, "udl": 1, "ud": "ff"},
            ]
            one.server.send(type="attached", number=NUMBER)
            one.server.send(type="submitted", id="m1")
            one.server.send(type="refused", id="m2", why="full")
            one.server.send(**DELIVER, udl=1, ud="ff")
            await eventually(lambda: one.deliveries, "a delivery")
            assert one.answers == [("m1", None), ("m2", "full")]
            assert one.deliveries[0].data == DATA
            one.client.do(Acknowledge("c1"))
            one.client.do(Attach())
            await one.said("attach", "submit", "acknowledged", "attach")

    asyncio.run(act())


def test_a_lost_connection_is_made_again_and_a_detached_one_is_not(monkeypatch: Any) -> None:
    monkeypatch.setattr(smsc_client, "RETRY_S", 0.01)

    async def act() -> None:
        async with scene() as one:
            one.client.do(Attach())
            await one.said("attach")
            one.server.writers[-1].close()
            await one.said("attach", "attach")
            one.server.send(type="deliver", id="nonsense")  # a centre that is none is left, and tried again
            await one.said("attach", "attach", "attach")
            one.client.do(Detach())
            await eventually(lambda: one.client._writer is None, "the end")
            one.client.do(Acknowledge("c1"))
            await asyncio.sleep(0.05)
            await one.said("attach", "attach", "attach")

    asyncio.run(act())
