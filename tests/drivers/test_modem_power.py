"""The modem's power key and supply, on the simulated board's pins."""

import asyncio

import pytest
from gpiozero.pins import Factory

from bondmate.drivers import modem_power
from bondmate.drivers.modem_power import PinModemPower
from bondmate.errors import LocalError

KEY, RAIL = 5, 6


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modem_power, "PULSE_S", 0.02)
    monkeypatch.setattr(modem_power, "OFF_S", 0.02)


def levels(power: PinModemPower) -> tuple[object, object]:
    return tuple(None if device is None else bool(device.value) for device in (power._key, power._rail))  # type: ignore[return-value]


def test_the_key_is_pressed_and_let_go_and_the_supply_goes_and_comes(factory: Factory) -> None:
    async def main() -> None:
        power = PinModemPower(factory, KEY, RAIL)
        try:
            assert (power.has_key, power.has_rail) == (True, True)
            assert levels(power) == (False, True)
            for act, while_s in ((power.pulse_key, (True, True)), (power.cycle_rail, (False, False))):
                doing = asyncio.ensure_future(act())
                await asyncio.sleep(0)
                assert levels(power) == while_s
                await doing
                assert levels(power) == (False, True)
        finally:
            power.close()

    asyncio.run(main())


def test_whoever_is_interrupted_leaves_no_key_pressed_and_no_supply_off(factory: Factory) -> None:
    async def main() -> None:
        power = PinModemPower(factory, KEY, RAIL)
        try:
            for act in (power.pulse_key, power.cycle_rail):
                doing = asyncio.ensure_future(act())
                await asyncio.sleep(0)
                doing.cancel()
                await asyncio.wait({doing})
                assert levels(power) == (False, True)
        finally:
            power.close()

    asyncio.run(main())


def test_a_board_may_have_neither(factory: Factory) -> None:
    async def main() -> None:
        power = PinModemPower(factory, None, None)
        assert (power.has_key, power.has_rail) == (False, False)
        await power.pulse_key()
        await power.cycle_rail()
        assert levels(power) == (None, None)
        power.close()

    asyncio.run(main())


def test_a_pin_that_does_not_exist_is_named(factory: Factory) -> None:
    with pytest.raises(LocalError, match="the modem's power key at pin 99"):
        PinModemPower(factory, 99, None)
