"""The API of a device that is not armed, on real Unix sockets: the status with why, and nothing else."""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bondmate.api import events
from bondmate.api.authority import CONSOLE_MAY, CONSOLE_USER
from bondmate.api.server import CONSOLE_SOCKET_FILE, SOCKET_FILE, serve_unarmed
from bondmate.core.gesture import Gesture
from bondmate.faults import Faults
from bondmate.ports import ModemState, PartFault
from bondmate.records import DeviceId
from bondmate.unarmed import Unarmed
from tests.api.served import Palm, exchange
from tests.api.test_server import STATUS_KEYS
from tests.eventually import eventually, running


def serving(run: Path, test: Callable[[Unarmed], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        unarmed = Unarmed(1.0, [frozenset({Gesture.HOLD})], Palm(), Faults())
        unarmed.report("not enrolled yet: no enrolment file", "put one there")
        async with running(serve_unarmed(unarmed, run, None, CONSOLE_USER)):
            await eventually((run / CONSOLE_SOCKET_FILE).exists, "the sockets")
            await test(unarmed)

    asyncio.run(main())


async def asked(run: Path, method: str, resource: str, body: Any = None) -> tuple[int, Any]:
    return await asyncio.to_thread(exchange, run / SOCKET_FILE, method, resource, body)


def test_the_status_has_every_member_and_makes_nothing_up(run: Path) -> None:
    async def test(unarmed: Unarmed) -> None:
        code, answer = await asked(run, "GET", "/status")
        assert code == 200
        assert set(answer) == STATUS_KEYS
        assert (answer["state"], answer["device"], answer["session"], answer["store"]) == (
            "not_armed", None, None, {"ok": None},
        )  # fmt: skip
        assert answer["faults"] == [
            {
                "code": "not-armed",
                "since": None,
                "text": "not enrolled yet: no enrolment file",
                "next": "put one there",
            }
        ]
        unarmed.device = DeviceId(bytes.fromhex("7f3a09c1"))
        assert (await asked(run, "GET", "/status"))[1]["device"] == "BM-7f3a09c1"

    serving(run, test)


def test_everything_else_is_refused_with_why(run: Path) -> None:
    async def test(unarmed: Unarmed) -> None:
        shown = (("GET", "/status"), ("GET", "/config"), ("GET", "/events"), ("GET", "/update"))
        others = [key for key in CONSOLE_MAY if key not in shown]
        assert len(others) == 19
        for method, path in others:
            code, answer = await asked(run, method, path.replace("{number}", "7"), b"{}" if method != "GET" else None)
            assert (code, answer) == (503, {"error": "the device is not armed: not enrolled yet: no enrolment file"})
        assert (await asked(run, "GET", "/nothing"))[0] == 404
        assert (await asked(run, "GET", "/config"))[0] == 200

    serving(run, test)


def test_a_software_under_which_it_is_not_armed_does_not_prove_good(run: Path) -> None:
    async def test(unarmed: Unarmed) -> None:
        code, answer = await asked(run, "GET", "/update")
        assert code == 200
        assert answer["unwell"] == "the device is not armed: not enrolled yet: no enrolment file"
        assert (answer["wanted"], answer["alert_open"], answer["reached"]) == (None, False, False)
        assert not any(answer["may"].values())

    serving(run, test)


def test_the_page_sees_it_change(run: Path) -> None:
    async def test(unarmed: Unarmed) -> None:
        reader, writer = await asyncio.open_unix_connection(str(run / CONSOLE_SOCKET_FILE))
        writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")

        async def next_status() -> dict[str, Any]:
            async with asyncio.timeout(10 * events.HEARTBEAT_S):
                while not (line := await reader.readline()).startswith(b"data: {"):
                    assert line, "the stream ended"
            shown: dict[str, Any] = json.loads(line[6:])
            return shown

        assert (await next_status())["faults"][0]["text"].endswith("no enrolment file")
        unarmed.report("waiting for approval", "approve it")
        while (await next_status())["faults"][0]["text"] != "waiting for approval":
            pass
        writer.close()

    serving(run, test)


class Modem:
    """As much of ports.CellularModem as is looked at."""

    def state(self) -> ModemState:
        values: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(ModemState))
        return ModemState(**values | {"port": "/dev/modem", "present": False, "why_not": "no SIM"})

    def faults(self) -> tuple[PartFault, ...]:
        return (PartFault("sim-absent", "there is no SIM", "put one in"),)


class Bearer:
    """The same of ports.Bearer."""

    def __init__(self, name: str) -> None:
        self.name, self.why_not, self.last_success_s = name, None, None


def test_the_ways_over_which_it_is_enrolled_are_shown_and_what_is_wrong_with_the_modem(run: Path) -> None:
    async def test(unarmed: Unarmed) -> None:
        unarmed.bearers, unarmed.modem = (Bearer("ip"), Bearer("lte")), Modem()  # type: ignore[assignment]
        _, answer = await asked(run, "GET", "/status")
        assert [(each["name"], each["up"], each["why_not"]) for each in answer["bearers"]] == [
            ("ip", True, None),
            ("lte", False, "no SIM"),
        ]
        assert [fault["code"] for fault in answer["faults"]] == ["not-armed", "sim-absent"]

    serving(run, test)
