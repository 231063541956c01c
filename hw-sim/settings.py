"""What may differ from world to world, and the device's configuration that follows from it. It starts nothing."""

import json
import os
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bondmate_sim import nmea_log
from bondmate_sim.mobile import Mobile

BUTTON_PIN, VIBRATION_PIN, LED_PIN = 17, 18, 27
SECOND_BUTTON_PIN, BUZZER_PIN, CASE_PIN, POWER_PIN, MAN_DOWN_PIN = 22, 23, 24, 25, 5
"""What not every board has."""
LOG_PASS_S = 8.0
"""A recorded log is played so fast that all of it passes within this time."""
LISBON = ("38.72225,-9.13934", "38.72401,-9.14021", "38.72520,-9.14175")
"""The default walk: in Lisbon, a short way up from Intendente."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ from world to world."""

    receiver: tuple[str, ...] = ("--route", *LISBON)
    """The sky: options of `bondmate-sim gnss`."""
    clock_source: Literal["gnss", "system"] = "system"
    """`gnss` only for a walk that lasts: UTC is believed after three seconds, and a recorded log's is long past."""
    hold_s: float = 1.0
    gestures: Mapping[str, str] = field(default_factory=dict)
    """Keys of the configuration's section [gestures] that are not as they are by default."""
    automatic: Mapping[str, float] = field(default_factory=dict)
    """The same of [automatic]."""
    equipped: bool = False
    """Whether it has all that a board may have: second button, buzzer, battery, contacts that tell of case and supply
    and that it lies."""
    network: tuple[str, ...] = ()
    """The weather: options of `bondmate-sim network`."""
    board: tuple[str, ...] = ()
    """The contacts: options of `bondmate-sim board`."""
    mobile: Mobile = field(default_factory=Mobile)
    """What the device has beside IP."""
    on_duty: bool = True
    """Whether `start` begins the officer's shift. A device begins its life off duty, and then its receiver sleeps."""


def settings_for(nmea: Path | None, mobile: Mobile) -> Settings:
    """A world with the default walk; or its sky is a recorded log, again and again, never slower than recorded.

    Raises SimulatorError when the log cannot be read or holds nothing.
    """
    if nmea is None:
        return Settings(mobile=mobile)
    speed = max(1.0, nmea_log.duration_s(nmea_log.read(nmea)) / LOG_PASS_S)
    receiver = ("--nmea", str(nmea.resolve()), "--speed", f"{speed:.3f}", "--loop")
    return Settings(receiver=receiver, mobile=mobile)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the device finds things."""

    credentials: Path
    state: Path
    run: Path
    receiver: Path
    battery: Path


def configuration(settings: Settings, places: Places, mobile: str) -> str:
    """The device's configuration file; `mobile` has the sections of its modem, where it has one."""
    sections: dict[str, Mapping[str, object]] = {
        "device": {
            "credentials_dir": str(places.credentials),
            "state_dir": str(places.state),
            "runtime_dir": str(places.run),
        },
        "gpio": _pins(settings.equipped),
        "panic": {"hold_s": settings.hold_s},
        "gestures": settings.gestures,
        "automatic": settings.automatic,
        "gnss": {"port": str(places.receiver), "speed_baud": 9600},
        "clock": {"source": settings.clock_source},
        "indicator": {"covert": False},
        "battery": {"path": str(places.battery)} if settings.equipped else {},
        "api": _console_user(),
    }
    return "\n".join(_lines(sections)) + "\n" + mobile


def _pins(equipped: bool) -> dict[str, object]:
    pins: dict[str, object] = {
        "factory": "bondmate_sim",
        "button_pin": BUTTON_PIN,
        "vibration_pin": VIBRATION_PIN,
        "led_pin": LED_PIN,
    }
    if equipped:
        pins |= {
            "second_button_pin": SECOND_BUTTON_PIN,
            "buzzer_pin": BUZZER_PIN,
            "case_pin": CASE_PIN,
            "power_pin": POWER_PIN,
            "man_down_pin": MAN_DOWN_PIN,
        }
    return pins


def _console_user() -> dict[str, object]:
    """In a world the page runs as whoever made the world, who may be a number without a name."""
    try:
        return {"console_user": pwd.getpwuid(os.getuid()).pw_name}
    except KeyError:
        return {}


def _lines(sections: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for section, keys in sections.items():
        if keys:
            yield f"\n[{section}]"
            # JSON strings, numbers and truth values are TOML's as well, whatever a directory is called.
            yield from (f"{key} = {json.dumps(value)}" for key, value in keys.items())
