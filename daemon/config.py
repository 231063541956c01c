"""The configuration file: TOML, validated once into frozen dataclasses (docs/bondmate.example.toml has every key).

A bad file gives every fault at once. Nothing here starts or opens anything.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from bondmate.core.receivers import CONSTELLATIONS, RECEIVERS
from bondmate.errors import ConfigurationError

_MAX_OCTETS = 64 * 1024
_MAX_SHOWN = 80
"""Characters of what was refused in its message."""
_METADATA = "rule"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a key allows: a check, and the same in words."""

    allowed: str
    check: Callable[[Any], bool]
    convert: Callable[[Any], Any] = lambda value: value


def _key(rule: _Rule, default: Any = MISSING) -> Any:
    if default is MISSING:
        return field(metadata={_METADATA: rule})
    return field(default=default, metadata={_METADATA: rule})


def _number(low: float, high: float) -> _Rule:
    return _Rule(
        f"a number from {low:g} to {high:g}",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high,
        float,
    )


def _integer(low: int, high: int) -> _Rule:
    return _Rule(
        f"a whole number from {low} to {high}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def _one_of(*words: str) -> _Rule:
    return _Rule(" or ".join(f'"{word}"' for word in words), lambda value: value in words)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/") and value.isprintable()


_DIRECTORY = _Rule("an absolute path", _is_path, Path)
_PORT = _Rule("an absolute path of a serial port", _is_path)
_NAME = _Rule("the name of a gpiozero pin factory", lambda value: isinstance(value, str) and value != "")
_SPEED = _Rule(
    'a whole number from 300 to 921600, or "auto"',
    lambda value: value == "auto" or _integer(300, 921600).check(value),
    lambda value: None if value == "auto" else value,
)
_DATE = _Rule(
    'a date such as 2026-01-01, or "none"',
    lambda value: value == "none" or (isinstance(value, dt.date) and not isinstance(value, dt.datetime)),
    lambda value: None if value == "none" else value,
)
_CONSTELLATIONS = _Rule(
    f"a list of {', '.join(CONSTELLATIONS)}",
    lambda value: isinstance(value, list) and all(each in CONSTELLATIONS for each in value),
    tuple,
)
_SWITCH = _Rule("true or false", lambda value: isinstance(value, bool))
_PIN = _integer(0, 63)


@dataclass(frozen=True, slots=True)
class DeviceSection:
    """Where the device keeps and finds things."""

    credentials_dir: Path = _key(_DIRECTORY, Path("/etc/bondmate/credentials"))
    state_dir: Path = _key(_DIRECTORY, Path("/var/lib/bondmate"))
    runtime_dir: Path = _key(_DIRECTORY, Path("/run/bondmate"))


@dataclass(frozen=True, slots=True)
class GpioSection:
    """The pins, by the pin factory's own numbers."""

    factory: str = _key(_NAME)
    button_pin: int = _key(_PIN)
    vibration_pin: int = _key(_PIN)
    led_pin: int = _key(_PIN)


@dataclass(frozen=True, slots=True)
class PanicSection:
    """The gesture that raises an alert."""

    hold_s: float = _key(_number(0.05, 10), 1.0)


@dataclass(frozen=True, slots=True)
class GnssSection:
    """The receiver: its serial line, and how it is set."""

    port: str = _key(_PORT)
    speed_baud: int | None = _key(_SPEED, None)
    receiver: str = _key(_one_of("nmea", *RECEIVERS), "nmea")
    rate_hz: float = _key(_number(1, 10), 1.0)
    constellations: tuple[str, ...] = _key(_CONSTELLATIONS, ())
    not_before: dt.date | None = _key(_DATE, None)


@dataclass(frozen=True, slots=True)
class DutySection:
    """Shifts."""

    max_h: float = _key(_number(0.5, 24), 14.0)


@dataclass(frozen=True, slots=True)
class TrackingSection:
    """What is recorded of where the device is."""

    presence_interval_s: float = _key(_number(30, 3600), 300.0)
    presence_bits: int = _key(_integer(13, 20), 16)
    alert_interval_s: float = _key(_number(1, 60), 5.0)


@dataclass(frozen=True, slots=True)
class ClockSection:
    """Where UTC in records comes from."""

    source: str = _key(_one_of("gnss", "system"), "gnss")


@dataclass(frozen=True, slots=True)
class StoreSection:
    """The outbox."""

    deadline_s: float = _key(_number(0.05, 10), 0.5)
    keep_delivered_h: float = _key(_number(0, 8760), 72.0)


@dataclass(frozen=True, slots=True)
class DeliverySection:
    """How records get to the gateway."""

    race_after_s: float = _key(_number(0.5, 60), 4.0)


@dataclass(frozen=True, slots=True)
class IndicatorSection:
    """What the device shows."""

    covert: bool = _key(_SWITCH, True)


@dataclass(frozen=True, slots=True)
class LogSection:
    """What goes to the journal."""

    level: str = _key(_one_of("debug", "info", "warning"), "info")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole file; sections that are left out have their defaults."""

    device: DeviceSection
    gpio: GpioSection
    panic: PanicSection
    gnss: GnssSection
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
    pins = _pins(sections.get("gpio"))
    if len(set(pins)) < len(pins):
        problems.append(f"{_place(text, name, 'gpio', None)}: button_pin, vibration_pin and led_pin must differ")
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
    rules: dict[str, tuple[_Rule, Any]] = {key.name: (key.metadata[_METADATA], key.default) for key in fields(kind)}
    problems += [
        f"{_place(text, name, section, unknown)}: unknown key; there are {_list(rules)}"
        for unknown in values.keys() - rules.keys()
    ]
    accepted: dict[str, Any] = {}
    for key, (rule, default) in rules.items():
        if key not in values:
            if default is MISSING:
                problems.append(f"{_place(text, name, section, key)}: missing, allowed is {rule.allowed}")
        elif rule.check(values[key]):
            accepted[key] = rule.convert(values[key])
        else:
            problems.append(
                f"{_place(text, name, section, key)}: found {_shown(values[key])}, allowed is {rule.allowed}"
            )
    missing = [key for key, (_, default) in rules.items() if default is MISSING and key not in accepted]
    return None if missing else kind(**accepted)


def _pins(gpio: GpioSection | None) -> list[int]:
    return [] if gpio is None else [gpio.button_pin, gpio.vibration_pin, gpio.led_pin]


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
