"""The parts of a board as the configuration has them: its buttons' gestures, other inputs, indicator, receiver, clock.

A part of the composition root, as ways is for the ways to the gateway.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from bondmate import config
from bondmate.core.gesture import Gesture
from bondmate.core.receivers import RECEIVERS, Wanted
from bondmate.device import Device
from bondmate.drivers.button import Button
from bondmate.drivers.chrony import ChronySocket
from bondmate.drivers.gnss import GnssSettings
from bondmate.drivers.indicator import PinIndicator
from bondmate.drivers.inputs import Contact
from bondmate.errors import LocalError
from bondmate.faults import Faults
from bondmate.records import Kind


def gestures(configuration: config.Configuration) -> tuple[dict[Gesture, Kind], ...]:
    """What is called by which gesture, for each button that there is."""
    section = configuration.gestures
    chosen: list[tuple[Kind | None, ...]] = [(section.hold, section.double, section.triple)]
    if configuration.gpio.second_button_pin is not None:
        chosen.append((section.second_hold, section.second_double, section.second_triple))
    return tuple(
        {gesture: kind for gesture, kind in zip(Gesture, kinds, strict=True) if kind is not None} for kinds in chosen
    )


def pin_indicator(factory: Any, configuration: config.Configuration) -> PinIndicator:
    """What tells the officer: motor, LED, and the buzzer where there is one."""
    gpio = configuration.gpio
    return PinIndicator(
        factory, gpio.vibration_pin, gpio.led_pin, gpio.buzzer_pin, covert=configuration.indicator.covert
    )


def other_inputs(factory: Any, gpio: config.GpioSection, device: Device, faults: Faults) -> list[Button | Contact]:
    """The inputs that a board may have beside the button. One that fails takes nothing down with it."""
    wanted: list[tuple[str, int | None, Callable[..., Button | Contact]]] = [
        ("the second button", gpio.second_button_pin, partial(Button, on_edge=partial(device.on_edge, 1))),
        ("the case's contact", gpio.case_pin, partial(Contact, on_change=device.on_case)),
        ("the supply's contact", gpio.power_pin, partial(Contact, on_change=device.senses.on_power)),
        ("the man-down contact", gpio.man_down_pin, partial(Contact, on_change=device.on_lying)),
    ]
    found = []
    for what, pin, make in wanted:
        if pin is None:
            continue
        try:
            found.append(make(factory, pin, what=what))
        except LocalError as error:
            faults.report("inputs", str(error), "look at [gpio] in the configuration; the main button works", None)
    return found


def gnss_settings(section: config.GnssSection) -> GnssSettings:
    """How the receiver is set."""
    return GnssSettings(
        port=section.port,
        speed_baud=section.speed_baud,
        receiver=RECEIVERS.get(section.receiver),
        wanted=Wanted(section.rate_hz, section.constellations),
        not_before=section.not_before,
    )


def time_keeper(section: config.ClockSection, stack: AsyncExitStack) -> ChronySocket | None:
    """Who is told the time of fixes, if anybody is; closed with the stack."""
    if section.chrony_socket is None:
        return None
    chrony = ChronySocket(section.chrony_socket)
    stack.callback(chrony.close)
    return chrony
