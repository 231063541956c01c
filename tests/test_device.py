"""The device as a whole, on virtual time; its rooms have tests of their own."""

import asyncio
from pathlib import Path

import pytest

from bondmate.errors import LocalError
from bondmate.records import How, Kind
from tests.desk import payload, running
from tests.virtual import run


def test_a_cancellation_names_the_alert_and_both_are_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as desk:
            with pytest.raises(LocalError, match="no alert is open"):
                desk.device.cancel_alert(How.TOOL)
            await desk.press()
            await asyncio.sleep(1)
            alert = desk.record(Kind.PANIC)
            desk.device.cancel_alert(How.TOOL)
            await asyncio.sleep(1)
            told = payload(desk.record(Kind.CANCELLATION))
            assert told[7] == alert.digest[:8] + bytes([How.TOOL])
            assert told[2:4] == [2, alert.digest[:4]]
            assert desk.state == "cancelled"
            assert len(desk.bearer.sent_of(Kind.CANCELLATION)) == 1

    run(story())


def test_an_error_in_the_delivery_core_ends_the_device(tmp_path: Path) -> None:
    """Systemd starts it again; going on without the core would be a dead button that looks alive."""

    async def story() -> None:
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the context manager is what raises
            async with running(tmp_path) as desk:

                def broken(_now: float) -> None:
                    raise ZeroDivisionError

                desk.device.parts.delivery.poll = broken  # type: ignore[method-assign,assignment]
                await desk.press()
                await asyncio.sleep(5)
        assert caught.group_contains(ZeroDivisionError)

    run(story())
