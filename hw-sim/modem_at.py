"""AT commands as ITU-T V.250 writes them: from octets to lines, from a line to its commands and their parameters. Pure.

What a command does is said elsewhere.
"""

import re
from dataclasses import dataclass
from typing import Literal

MAX_LINE_OCTETS = 2_048
"""Of a command line; V.250, clause 5.2.1, leaves it to the maker."""
MAX_COMMANDS = 64
EXTENDED = re.compile(r"\+[A-Z][A-Z0-9]*")
BASIC = re.compile(r"(&?[A-Z])([0-9]*)")
REGISTER = re.compile(r"(S[0-9]+)(=[0-9]+|\?)")
WHOLE = re.compile(r"[0-9]{1,9}")

Kind = Literal["run", "test", "read", "set"]


@dataclass(frozen=True, slots=True)
class Command:
    """`+CREG=2` is a set of `+CREG` with the text `2`; `E0` and `S3=13` are sets too; `I` is a run."""

    name: str
    kind: Kind
    text: str = ""

    @property
    def parameters(self) -> list[str]:
        """The text's parts between commas, without their quotation marks; what is left out is empty."""
        return [part.removeprefix('"').removesuffix('"') for part in split_outside_quotes(self.text, ",")]


class LineError(Exception):
    """The line is no AT command line."""


class NumberError(Exception):
    """A parameter is no number, or one that the command does not take."""


def commands(line: str) -> list[Command]:
    """The commands of one line, which begins with AT (V.250, clauses 5.3.1, 5.4.4 and 5.2.3). Raises LineError."""
    rest = _without_blanks(line[2:])
    found: list[Command] = []
    while rest:
        if len(found) == MAX_COMMANDS:
            raise LineError(f"more than {MAX_COMMANDS} commands")
        if match := EXTENDED.match(upper := rest.upper()):
            body = split_outside_quotes(rest[match.end() :], ";")[0]
            found.append(_extended(match[0], body))
            rest = rest[match.end() + len(body) + 1 :]
        elif match := REGISTER.match(upper):
            found.append(Command(match[1], "read") if match[2] == "?" else Command(match[1], "set", match[2][1:]))
            rest = rest[match.end() :]
        elif match := BASIC.match(upper):
            found.append(Command(match[1], "set", match[2]) if match[2] else Command(match[1], "run"))
            rest = rest[match.end() :]
        else:
            raise LineError(rest)
    return found


def _extended(name: str, body: str) -> Command:
    match body[:1], body:
        case "", _:
            return Command(name, "run")
        case "?", "?":
            return Command(name, "read")
        case "=", "=?":
            return Command(name, "test")
        case "=", _:
            return Command(name, "set", body[1:])
        case _:
            raise LineError(name + body)


def split_outside_quotes(text: str, mark: str) -> list[str]:
    """The parts of a text between the marks that are not inside quotation marks."""
    parts, quoted = [""], False
    for letter in text:
        quoted ^= letter == '"'
        if letter == mark and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _without_blanks(text: str) -> str:
    return '"'.join(part if at % 2 else part.replace(" ", "") for at, part in enumerate(text.split('"')))


def whole(text: str, least: int, most: int) -> int:
    """Return a parameter as a number between these. Raises NumberError."""
    if not WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise NumberError(text)
    return int(text)


class Lines:
    """Makes command lines of octets: CR (S3) ends one, backspace (S5) takes one octet back, A/ repeats the last."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._too_long = False
        self._last = "AT"

    def push(self, octet: int) -> str | None:
        """The whole line that this octet ends. What comes before its AT is no part of it; without one it is none.

        Raises LineError when it had become too long.
        """
        if octet == 0x0D:
            line, too_long = self._line.decode("latin-1"), self._too_long
            self._line.clear()
            self._too_long = False
            if too_long:
                raise LineError(f"more than {MAX_LINE_OCTETS} octets")
            return self._complete(line)
        if octet == 0x08:
            del self._line[-1:]
        elif octet >= 0x20 and not self._too_long:
            self._line.append(octet)
            self._too_long = len(self._line) > MAX_LINE_OCTETS
            if self._line.upper() == b"A/":
                self._line.clear()
                return self._last
        return None

    def _complete(self, line: str) -> str | None:
        at = line.upper().find("AT")
        if at < 0:
            return None
        self._last = line[at:]
        return self._last
