"""The configuration file: TOML, validated once into frozen dataclasses (docs/bondmate.example.toml has every key).

A bad file gives every fault at once. Nothing here starts or opens anything.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from bondmate import rules
from bondmate.core.receivers import RECEIVERS
from bondmate.errors import ConfigurationError

_MAX_OCTETS = 64 * 1024
_MAX_SHOWN = 80
"""Characters of what was refused in its message."""


@dataclass(frozen=True, slots=True)
class DeviceSection:
    """Where the device keeps and finds things."""

    credentials_dir: Path = rules.key(rules.DIRECTORY, Path("/etc/bondmate/credentials"))
    state_dir: Path = rules.key(rules.DIRECTORY, Path("/var/lib/bondmate"))
    runtime_dir: Path = rules.key(rules.DIRECTORY, Path("/run/bondmate"))


@dataclass(frozen=True, slots=True)
class GpioSection:
    """The pins, by the pin factory's own numbers."""

    factory: str = rules.key(rules.NAME)
    button_pin: int = rules.key(rules.PIN)
    vibration_pin: int = rules.key(rules.PIN)
    led_pin: int = rules.key(rules.PIN)


@dataclass(frozen=True, slots=True)
class PanicSection:
    """The gesture that raises an alert."""

    hold_s: float = rules.key(rules.number(0.05, 10), 1.0)


@dataclass(frozen=True, slots=True)
class GnssSection:
    """The receiver: its serial line, and how it is set."""

    port: str = rules.key(rules.PORT)
    speed_baud: int | None = rules.key(rules.SPEED, None)
    receiver: str = rules.key(rules.one_of("nmea", *RECEIVERS), "nmea")
    rate_hz: float = rules.key(rules.number(1, 10), 1.0)
    constellations: tuple[str, ...] = rules.key(rules.CONSTELLATIONS, ())
    not_before: dt.date | None = rules.key(rules.DATE, None)


@dataclass(frozen=True, slots=True)
class ModemSection:
    """The modem for LTE and SMS, if there is one."""

    port: str | None = rules.key(rules.PORT_OR_NONE, None)
    speed_baud: int = rules.key(rules.integer(9600, 921600), 115200)
    apn: str = rules.key(rules.APN, "")
    roaming: bool = rules.key(rules.SWITCH, False)
    pin_file: Path | None = rules.key(rules.FILE_OR_NONE, None)
    power_key_pin: int | None = rules.key(rules.PIN_OR_NONE, None)
    power_rail_pin: int | None = rules.key(rules.PIN_OR_NONE, None)


@dataclass(frozen=True, slots=True)
class SmsSection:
    """Alerts by SMS, when nothing else brings them out."""

    gateway_number: str | None = rules.key(rules.NUMBER_OR_NONE, None)
    allowed_numbers: tuple[str, ...] = rules.key(rules.NUMBERS, ())


@dataclass(frozen=True, slots=True)
class DutySection:
    """Shifts."""

    max_h: float = rules.key(rules.number(0.5, 24), 14.0)


@dataclass(frozen=True, slots=True)
class TrackingSection:
    """What is recorded of where the device is."""

    presence_interval_s: float = rules.key(rules.number(30, 3600), 300.0)
    presence_bits: int = rules.key(rules.integer(13, 20), 16)
    alert_interval_s: float = rules.key(rules.number(1, 60), 5.0)


@dataclass(frozen=True, slots=True)
class ClockSection:
    """Where UTC in records comes from."""

    source: str = rules.key(rules.one_of("gnss", "system"), "gnss")


@dataclass(frozen=True, slots=True)
class StoreSection:
    """The outbox."""

    deadline_s: float = rules.key(rules.number(0.05, 10), 0.5)
    keep_delivered_h: float = rules.key(rules.number(0, 8760), 72.0)


@dataclass(frozen=True, slots=True)
class DeliverySection:
    """How records get to the gateway."""

    race_after_s: float = rules.key(rules.number(0.5, 60), 4.0)
    sms_after_s: float = rules.key(rules.number(0, 600), 15.0)


@dataclass(frozen=True, slots=True)
class IndicatorSection:
    """What the device shows."""

    covert: bool = rules.key(rules.SWITCH, True)


@dataclass(frozen=True, slots=True)
class LogSection:
    """What goes to the journal."""

    level: str = rules.key(rules.one_of("debug", "info", "warning"), "info")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole file; sections that are left out have their defaults."""

    device: DeviceSection
    gpio: GpioSection
    panic: PanicSection
    gnss: GnssSection
    modem: ModemSection
    sms: SmsSection
    duty: DutySection
    tracking: TrackingSection
    clock: ClockSection
    store: StoreSection
    delivery: DeliverySection
    indicator: IndicatorSection
    log: LogSection


def parse(text: str, name: str) -> Configuration:
    """Read the text of the file called `name`; ConfigurationError has one line for each fault."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # beside its own ValueError tomllib lets those of numbers and of deep nesting through
        raise ConfigurationError([f"{name}: not TOML: {error}"]) from error
    problems: list[str] = []
    sections: dict[str, Any] = {}
    known: dict[str, Any] = {section.name: section.type for section in fields(Configuration)}
    for unknown in document.keys() - known.keys():
        place = _place(text, name, unknown, None)
        problems.append(f"{place}: unknown section or key; there are {_list(known)}")
    for section, kind in known.items():
        values = document.get(section, {})
        if isinstance(values, dict):
            sections[section] = _section(kind, section, values, text, name, problems)
        else:
            problems.append(
                f"{_place(text, name, section, None)}: found {_shown(values)}, allowed is a section [{section}]"
            )
    pins = [*_pins(sections.get("gpio")), *_power_pins(sections.get("modem"))]
    if len(set(pins)) < len(pins):
        problems.append(
            f"{_place(text, name, 'gpio', None)}: button_pin, vibration_pin, led_pin and the modem's pins must differ"
        )
    if _is_alone(sections.get("sms"), sections.get("modem")):
        problems.append(f"{_place(text, name, 'sms', 'gateway_number')}: SMS needs a modem: set modem.port")
    if problems:
        raise ConfigurationError(sorted(problems, key=_line_number))
    return Configuration(**sections)


def load(path: Path) -> tuple[Configuration, str]:
    """Read a file; the configuration and the text that it was made from. Raises ConfigurationError."""
    try:
        data = _start_of(path)
        if len(data) > _MAX_OCTETS:
            raise ConfigurationError([f"{path}: larger than {_MAX_OCTETS} octets: not a configuration"])
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}: see docs/bondmate.example.toml"]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: not UTF-8 at octet {error.start}"]) from error
    return parse(text, str(path)), text


def state_dir_of(path: Path) -> Path:
    """The state directory that a file names, as far as a broken file can be read; else the default one."""
    try:
        text = _start_of(path).decode("utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r'^\s*state_dir\s*=\s*"(/[^"\\\0-\x1f]*)"\s*(?:#.*)?$', text, re.MULTILINE)
    return Path(match[1]) if match else DeviceSection().state_dir


def _start_of(path: Path) -> bytes:
    """As much of a file as a configuration may have, and one octet more: no file, however large, fills the memory."""
    with path.open("rb") as file:
        return file.read(_MAX_OCTETS + 1)


def _section(kind: Any, section: str, values: Mapping[str, Any], text: str, name: str, problems: list[str]) -> Any:
    known: dict[str, tuple[rules.Rule, Any]] = {
        key.name: (key.metadata[rules.METADATA], key.default) for key in fields(kind)
    }
    problems += [
        f"{_place(text, name, section, unknown)}: unknown key; there are {_list(known)}"
        for unknown in values.keys() - known.keys()
    ]
    accepted: dict[str, Any] = {}
    for key, (rule, default) in known.items():
        if key not in values:
            if default is MISSING:
                problems.append(f"{_place(text, name, section, key)}: missing, allowed is {rule.allowed}")
        elif rule.check(values[key]):
            accepted[key] = rule.convert(values[key])
        else:
            problems.append(
                f"{_place(text, name, section, key)}: found {_shown(values[key])}, allowed is {rule.allowed}"
            )
    missing = [key for key, (_, default) in known.items() if default is MISSING and key not in accepted]
    return None if missing else kind(**accepted)


def _pins(gpio: GpioSection | None) -> list[int]:
    return [] if gpio is None else [gpio.button_pin, gpio.vibration_pin, gpio.led_pin]


def _power_pins(modem: ModemSection | None) -> list[int]:
    both = () if modem is None else (modem.power_key_pin, modem.power_rail_pin)
    return [pin for pin in both if pin is not None]


def _is_alone(sms: SmsSection | None, modem: ModemSection | None) -> bool:
    return sms is not None and sms.gateway_number is not None and modem is not None and modem.port is None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(names)


def _place(text: str, name: str, section: str, key: str | None) -> str:
    """`file:line: section.key`, where the line can be told; tomllib does not keep lines."""
    wanted = section if key is None else f"{section}.{key}"
    # an unknown key may be anything in quotes
    shown = wanted if wanted.isprintable() and len(wanted) <= _MAX_SHOWN else _shown(wanted)
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            current = header[1]
            here = current
        elif pair := re.match(r"\s*([\w.-]+)\s*=", line):
            here = f"{current}.{pair[1]}".lstrip(".")
        else:
            continue
        if here == wanted:
            return f"{name}:{number}: {shown}"
    return f"{name}: {shown}"


def _line_number(problem: str) -> int:
    match = re.match(r".*?:(\d+): ", problem)
    return int(match[1]) if match else 0
