"""What bondmate-updater asks and answers; its process and a device are in tests/updater/test_app.py."""

import asyncio
from pathlib import Path
from typing import Any

from bondmate.core.updating import LEAST_PERCENT
from bondmate.records import Kind
from tests.api.served import Served, asked, exchange, served
from tests.eventually import eventually
from tests.letters import BUNDLE, UPDATE


async def shown(there: Served) -> dict[str, Any]:
    code, answer = await asked(there, "GET", "/update")
    assert code == 200
    assert isinstance(answer, dict)
    return answer


def test_what_is_wanted_and_what_may_be_done(run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            may = {"fetch": True, "install": True, "restart": True}
            await eventually(lambda: there.device.condition.unwell is None, "the earlier session to be known")
            nothing = {"wanted": None, "may": may, "why_not": None, "alert_open": False, "unwell": None}
            assert await shown(there) == nothing | {"reached": False}
            await there.send(UPDATE, ["1.2.3", *BUNDLE[1:4], 0])
            there.device.senses.on_battery(LEAST_PERCENT - 1, True)
            assert await shown(there) == {
                "wanted": {
                    "number": 1,
                    "software": "1.2.3",
                    "url": BUNDLE[1],
                    "octets": BUNDLE[2],
                    "sha256": BUNDLE[3].hex(),
                    "at_once": False,
                },
                "may": {"fetch": True, "install": False, "restart": False},
                "why_not": f"the battery is at {LEAST_PERCENT - 1} %, and {LEAST_PERCENT} % are needed",
                "alert_open": False,
                "unwell": None,
                "reached": False,
            }

    asyncio.run(main())


def test_an_alert_and_duty_come_first(run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            await eventually(lambda: there.device.condition.unwell is None, "the earlier session to be known")
            await there.device.set_duty(True)
            assert (await shown(there))["why_not"] == "the device is in use: it waits for the end of the shift"
            there.device.raise_alert(Kind.PANIC)
            answer = await shown(there)
            assert (answer["why_not"], answer["alert_open"]) == ("an alert is open", True)
            assert not any(answer["may"].values())

    asyncio.run(main())


def test_a_store_that_fails_is_no_health(run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            await eventually(lambda: there.device.condition.unwell is None, "the earlier session to be known")
            there.fail("gnss-silent", "no NMEA sentence for 5 s", "check the cable", None)
            assert (await shown(there))["unwell"] is None
            there.fail("store", "the disk is gone", "hand it in", None)
            assert (await shown(there))["unwell"] == "the disk is gone"

    asyncio.run(main())


def test_what_came_of_it_is_taken_once(run: Path) -> None:
    async def main() -> None:
        async with served(run, on_duty=False) as there:
            await there.send(UPDATE, BUNDLE)
            for body in (
                b"{}",
                b'{"number": 1, "done": 1, "text": "x"}',
                b'{"number": 1, "text": "x"}',
                b'{"number": 1, "done": true, "text": ""}',
            ):
                assert (await asked(there, "POST", "/update", body))[0] == 400
            code, answer = await asked(there, "POST", "/update", b'{"number": 1, "done": null, "text": "1.2.3"}')
            assert (code, answer["wanted"]["number"]) == (200, 1), "it is being installed"
            assert (await asked(there, "POST", "/update", b'{"number": 2, "done": null, "text": "1.2.3"}'))[0] == 409
            body = b'{"number": 1, "done": true, "text": "1.2.3"}'
            code, answer = await asked(there, "POST", "/update", body)
            assert (code, answer["wanted"]) == (200, None)
            assert (await asked(there, "POST", "/update", body))[0] == 409

    asyncio.run(main())


def test_the_updater_s_socket_is_for_updates_alone(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            place = there.socket.with_name("updater.sock")

            def asks(method: str, path: str) -> tuple[int, object]:
                return exchange(place, method, path)

            assert (await there.as_client(lambda: asks("GET", "/update")))[0] == 200
            for method, path in (("GET", "/status"), ("POST", "/alert"), ("POST", "/duty"), ("GET", "/config")):
                answer = await there.as_client(lambda m=method, p=path: asks(m, p))  # type: ignore[misc]
                assert answer == (403, {"error": "this is not for the updater"}), path

    asyncio.run(main())
