"""What the keys of the configuration file may have: each rule is a check, and the same in words."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from bondmate.core import receivers
from bondmate.records import OFFICERS_KINDS

METADATA = "rule"
"""Where a field of a section has its rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a key allows: a check, and the same in words."""

    allowed: str
    check: Callable[[Any], bool]
    convert: Callable[[Any], Any] = lambda value: value


def key(rule: Rule, default: Any = MISSING) -> Any:
    """A field of a section, with its rule; without a default it is needed."""
    if default is MISSING:
        return field(metadata={METADATA: rule})
    return field(default=default, metadata={METADATA: rule})


def number(low: float, high: float) -> Rule:
    """A number between these, inclusive."""
    return Rule(
        f"a number from {low:g} to {high:g}",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high,
        float,
    )


def integer(low: int, high: int) -> Rule:
    """A whole number between these, inclusive."""
    return Rule(
        f"a whole number from {low} to {high}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def one_of(*words: str) -> Rule:
    """One of some words."""
    return Rule(" or ".join(f'"{word}"' for word in words), lambda value: value in words)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/") and value.isprintable()


DIRECTORY = Rule("an absolute path", _is_path, Path)
PORT = Rule("an absolute path of a serial port", _is_path)
NAME = Rule("the name of a gpiozero pin factory", lambda value: isinstance(value, str) and value != "")
CHIP = Rule(
    'the label of a GPIO chip, or "auto"',
    # the kernel's own bound (linux/gpio.h, GPIO_MAX_NAME_SIZE) counts the zero
    lambda value: isinstance(value, str) and 0 < len(value) < 32 and value.isprintable(),
)
SPEED = Rule(
    'a whole number from 300 to 921600, or "auto"',
    lambda value: value == "auto" or integer(300, 921600).check(value),
    lambda value: None if value == "auto" else value,
)
DATE = Rule(
    'a date such as 2026-01-01, or "none"',
    lambda value: value == "none" or (isinstance(value, dt.date) and not isinstance(value, dt.datetime)),
    lambda value: None if value == "none" else value,
)
CONSTELLATIONS = Rule(
    f"a list of {', '.join(receivers.CONSTELLATIONS)}",
    lambda value: isinstance(value, list) and all(each in receivers.CONSTELLATIONS for each in value),
    tuple,
)
SWITCH = Rule("true or false", lambda value: isinstance(value, bool))
PIN = integer(0, 63)


def or_none(rule: Rule) -> Rule:
    """The same, or the word none."""
    return Rule(
        f'{rule.allowed}, or "none"',
        lambda value: value == "none" or rule.check(value),
        lambda value: None if value == "none" else rule.convert(value),
    )


PORT_OR_NONE = or_none(PORT)
FILE_OR_NONE = or_none(Rule("an absolute path of a file", _is_path, Path))
PIN_OR_NONE = or_none(PIN)
CALL = Rule(
    " or ".join(f'"{kind.label}"' for kind in sorted(OFFICERS_KINDS)),
    lambda value: value in [kind.label for kind in OFFICERS_KINDS],
    lambda value: next(kind for kind in OFFICERS_KINDS if kind.label == value),
)
CALL_OR_NONE = or_none(CALL)
USER = Rule(
    "the name of a user of this system",
    # useradd(8): a small letter or _ first, then letters, digits, _ and -, 32 octets at most
    lambda value: isinstance(value, str) and re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", value) is not None,
)
APN = Rule(
    "the name of an access point, or nothing for the network's own",
    # 3GPP TS 23.003, 9.1: labels of letters, digits and hyphens, 100 octets at most
    lambda value: isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9.-]{0,100}", value) is not None,
)
NUMBER = Rule(
    "a telephone number with + and the country's code",
    # ITU-T E.164: 15 digits at most
    lambda value: isinstance(value, str) and re.fullmatch(r"\+[1-9][0-9]{3,14}", value) is not None,
)
NUMBER_OR_NONE = or_none(NUMBER)
NUMBERS = Rule(
    "a list of telephone numbers with + and the country's code",
    lambda value: isinstance(value, list) and all(map(NUMBER.check, value)),
    tuple,
)
