"""The configuration file: TOML, validated once into frozen dataclasses (docs/bondmate.example.toml has every key).

A bad file gives every fault at once. Nothing here starts or opens anything.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bondmate import rules
from bondmate.core.receivers import RECEIVERS
from bondmate.errors import ConfigurationError
from bondmate.records import Kind
from bondmate.sections import Document

_MAX_OCTETS = 64 * 1024


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
    chip: str = rules.key(rules.CHIP, "auto")
    second_button_pin: int | None = rules.key(rules.PIN_OR_NONE, None)
    buzzer_pin: int | None = rules.key(rules.PIN_OR_NONE, None)
    case_pin: int | None = rules.key(rules.PIN_OR_NONE, None)
    power_pin: int | None = rules.key(rules.PIN_OR_NONE, None)
    man_down_pin: int | None = rules.key(rules.PIN_OR_NONE, None)


@dataclass(frozen=True, slots=True)
class PanicSection:
    """What counts as a hold."""

    hold_s: float = rules.key(rules.number(0.05, 10), 1.0)


@dataclass(frozen=True, slots=True)
class GesturesSection:
    """Which kind of call each gesture raises; None: nothing."""

    hold: Kind = rules.key(rules.CALL, Kind.PANIC)
    double: Kind | None = rules.key(rules.CALL_OR_NONE, None)
    triple: Kind | None = rules.key(rules.CALL_OR_NONE, None)
    second_hold: Kind | None = rules.key(rules.CALL_OR_NONE, None)
    second_double: Kind | None = rules.key(rules.CALL_OR_NONE, None)
    second_triple: Kind | None = rules.key(rules.CALL_OR_NONE, None)
    cancel: str | None = rules.key(rules.or_none(rules.one_of("double", "triple")), None)


@dataclass(frozen=True, slots=True)
class AutomaticSection:
    """Calls that the device raises by itself."""

    countdown_s: float = rules.key(rules.number(5, 120), 30.0)
    man_down_s: float = rules.key(rules.number(5, 120), 15.0)


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
    chrony_socket: Path | None = rules.key(rules.FILE_OR_NONE, None)


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
class BatterySection:
    """The battery, if it can be read."""

    path: Path | None = rules.key(rules.or_none(rules.DIRECTORY), None)


@dataclass(frozen=True, slots=True)
class ApiSection:
    """The local API."""

    console_user: str = rules.key(rules.USER, "bondmate-console")


@dataclass(frozen=True, slots=True)
class EnrolmentSection:
    """How a device without credentials comes to them; None: by hand."""

    file: Path | None = rules.key(rules.FILE_OR_NONE, None)
    force_key: Path | None = rules.key(rules.FILE_OR_NONE, None)


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
    gestures: GesturesSection
    automatic: AutomaticSection
    gnss: GnssSection
    modem: ModemSection
    sms: SmsSection
    duty: DutySection
    tracking: TrackingSection
    clock: ClockSection
    store: StoreSection
    delivery: DeliverySection
    indicator: IndicatorSection
    battery: BatterySection
    api: ApiSection
    enrolment: EnrolmentSection
    log: LogSection


def parse(text: str, name: str) -> Configuration:
    """Read the text of the file called `name`; ConfigurationError has one line for each fault."""
    document = Document(text, name)
    sections = document.read({section.name: section.type for section in fields(Configuration)})
    _check_pins(document, sections)
    _check_chip(document, sections)
    _check_gestures(document, sections)
    _check_sms(document, sections)
    _check_enrolment(document, sections)
    _check_clock(document, sections)
    document.settle()
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


def _check_pins(document: Document, sections: dict[str, Any]) -> None:
    """Two parts at one pin would both be dead."""
    owners: dict[int, str] = {}
    for section, key, pin in _pins(sections):
        owner = owners.setdefault(pin, f"{section}.{key}")
        if owner != f"{section}.{key}":
            document.fault(section, key, f"pin {pin} is that of {owner} already; all pins must differ")


def _pins(sections: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Section, key and number of each pin that is used."""
    for section in ("gpio", "modem"):
        if (values := sections.get(section)) is not None:
            for key in fields(values):
                if key.name.endswith("_pin") and (pin := getattr(values, key.name)) is not None:
                    yield section, key.name, pin


def _check_chip(document: Document, sections: dict[str, Any]) -> None:
    gpio: GpioSection | None = sections.get("gpio")
    if gpio is not None and gpio.chip != "auto" and gpio.factory != "gpiod":
        document.fault("gpio", "chip", f'the factory "{gpio.factory}" chooses its chip itself: leave this out')


def _check_gestures(document: Document, sections: dict[str, Any]) -> None:
    gestures: GesturesSection | None = sections.get("gestures")
    gpio: GpioSection | None = sections.get("gpio")
    if gestures is None or gpio is None:
        return
    if gestures.cancel is not None and getattr(gestures, gestures.cancel) is not None:
        raises = f"gestures.{gestures.cancel} raises an alert"
        document.fault("gestures", "cancel", f"{raises}: the same gesture cannot take one back")
    for key in ("second_hold", "second_double", "second_triple"):
        if gpio.second_button_pin is None and getattr(gestures, key) is not None:
            document.fault("gestures", key, "there is no second button: set gpio.second_button_pin")


def _check_sms(document: Document, sections: dict[str, Any]) -> None:
    sms: SmsSection | None = sections.get("sms")
    modem: ModemSection | None = sections.get("modem")
    if sms is not None and sms.gateway_number is not None and modem is not None and modem.port is None:
        document.fault("sms", "gateway_number", "SMS needs a modem: set modem.port")


def _check_enrolment(document: Document, sections: dict[str, Any]) -> None:
    section: EnrolmentSection | None = sections.get("enrolment")
    if section is not None and (section.file is None) != (section.force_key is None):
        missing = "file" if section.file is None else "force_key"
        document.fault("enrolment", missing, "a file is believed by its signature: set both, or neither")


def _check_clock(document: Document, sections: dict[str, Any]) -> None:
    clock: ClockSection | None = sections.get("clock")
    if clock is not None and clock.chrony_socket is not None and clock.source != "gnss":
        document.fault(
            "clock", "chrony_socket", 'the system\'s clock would be told its own time: set clock.source = "gnss"'
        )
