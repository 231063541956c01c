"""Octets of a modem's serial line to answers, unsolicited results, prompts and data, however they are chunked. Pure.

ITU-T V.250, with the extensions that modules have: data counted by a line before them (`+QIRD: 5`), prompts (`>`), and
results of their own (`SEND OK`). Which line belongs to the command and which is unsolicited cannot be seen from the
line alone, so it is told which command is under way. Bounded; raises nothing, whatever comes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bondmate.core.at_errors import explain

MAX_LINE = 1024
"""Octets; the longest that a modem has to say is a PDU in hexadecimal digits, about 360. Longer ones are dropped."""
MAX_LINES = 512
"""Of one answer: a list of 256 messages. What goes beyond is dropped, and found when it is asked for again."""
MAX_DATA = 2048
"""Octets of counted data; modules give 1500 at most. A line that announces more announces nothing."""

OK = "OK"
_FINALS = {
    "OK": OK, "0": OK,
    "ERROR": "ERROR", "4": "ERROR",
    "NO CARRIER": "NO CARRIER", "3": "NO CARRIER",
    "NO DIALTONE": "NO DIALTONE", "6": "NO DIALTONE",
    "BUSY": "BUSY", "7": "BUSY",
    "NO ANSWER": "NO ANSWER", "8": "NO ANSWER",
    "COMMAND NOT SUPPORT": "ERROR", "TOO MANY PARAMETERS": "ERROR",
}  # fmt: skip
"""Final results, verbose and numeric (V.250, 6.3.1); the last two are what some modules say for ERROR."""
_ERROR = re.compile(r"\+(CM[ES]) ERROR: ?(.*)")
_WITH_PDU = re.compile(r"\+(?:CMT|CDS|CBM): .*")
"""Unsolicited results that go on in the next line (27.005, 3.4.1)."""
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_CR, _LF, _PROMPT = 0x0D, 0x0A, 0x3E
_END = re.compile(rb"[\r\n]")


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked, and what of the modem's words is the answer to it."""

    text: str = field(repr=False)
    """As it is sent, without the carriage return. It may hold a PIN or a number: never log it, but `name`."""
    information: str = ""
    """Pattern of its information lines; empty: it has none."""
    counts: str = ""
    """Pattern of the information line whose first group counts the octets behind it; empty: there is none."""
    finals: Mapping[str, bool] = field(default_factory=dict)
    """Its own final results besides the usual, each with whether it means success."""
    prompts: bool = False
    """Whether it asks for data with a prompt."""

    @property
    def name(self) -> str:
        """What may stand in a log: nothing behind the equals sign."""
        return self.text.partition("=")[0]


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a command. `data` is None where none were announced."""

    ok: bool
    final: str
    """OK, ERROR, SEND FAIL, …; for +CME ERROR and +CMS ERROR the name."""
    kind: str = ""
    """CME or CMS, where it is such an error."""
    number: int | None = None
    """Of such an error, where it is known."""
    lines: tuple[str, ...] = field(default=(), repr=False)
    data: bytes | None = field(default=None, repr=False)

    @property
    def why(self) -> str:
        """The final result in words."""
        if not self.kind:
            return self.final
        return f"{self.final} ({self.kind} {'?' if self.number is None else self.number})"


@dataclass(frozen=True, slots=True)
class Urc:
    """An unsolicited result, or a line that nobody expected; `pdu` is the second line of those that have one."""

    line: str = field(repr=False)
    pdu: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The modem waits for the command's data."""


Said = Response | Urc | Prompt


class _Answer:
    """A command under way, and what was said to it."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.lines: list[str] = []
        self.data: bytes | None = None
        self.prompts = command.prompts
        """Whether the prompt is still to come."""

    @cached_property
    def _information(self) -> re.Pattern[str]:
        return re.compile(self.command.information)

    @cached_property
    def _counts(self) -> re.Pattern[str]:
        return re.compile(self.command.counts)

    def counted(self, line: str) -> int | None:
        """How many octets the line announces."""
        if not self.command.counts or self.data is not None:
            return None
        found = self._counts.fullmatch(line)
        return int(found[1]) if found is not None and len(found[1]) <= 5 and int(found[1]) <= MAX_DATA else None

    def takes(self, line: str) -> bool:
        """Whether the line is information of this command; if so it is kept."""
        if not self.command.information or self._information.fullmatch(line) is None:
            return False
        if len(self.lines) < MAX_LINES:
            self.lines.append(line)
        return True

    def ended(self, line: str) -> Response | None:
        """The answer, if the line is a final result."""
        lines, data = tuple(self.lines), self.data
        if line in self.command.finals:
            return Response(self.command.finals[line], line, lines=lines, data=data)
        if line in _FINALS:
            final = _FINALS[line]
            return Response(final == OK, final, lines=lines, data=data)
        if (error := _ERROR.fullmatch(line)) is not None:
            number, name = explain(error[1], error[2])
            return Response(False, name, error[1], number, lines, data)
        return None


class Digester:
    """Feed it octets; tell it when a command begins, and when its answer is not waited for any longer."""

    def __init__(self) -> None:
        self._begun = bytearray()
        """What may still become a line, or the data that are announced."""
        self._answer: _Answer | None = None
        """Since `begin`, until its final result or `give_up`."""
        self._announced: int | None = None
        """How many octets of data come next."""
        self._after_cr = False
        """The last line ended with a carriage return: a line feed that follows belongs to it, and not to data."""
        self._long = False
        """The line that is begun is too long already."""
        self._first: str | None = None
        """The first line of an unsolicited result that has two."""

    @property
    def held(self) -> int:
        """How many octets are kept: never more than a line or the data that were announced, and the answer's lines."""
        return len(self._begun) + (sum(map(len, self._answer.lines)) if self._answer is not None else 0)

    def begin(self, command: Command) -> None:
        """A command is sent now."""
        self._answer, self._announced = _Answer(command), None

    def give_up(self) -> None:
        """Nobody waits for the answer any longer: what comes of it is unexpected, and data are lines."""
        self._answer, self._announced = None, None

    def feed(self, data: bytes) -> list[Said]:
        """What `data` completes, in order."""
        said: list[Said] = []
        self._begun += data
        at = 0
        while (end := self._next(at, said)) is not None:
            at = end
        del self._begun[:at]
        return said

    def _next(self, at: int, said: list[Said]) -> int | None:
        """Take one thing from there on; where the next begins, or None when more octets are needed."""
        octets = self._begun
        if at < len(octets) and self._after_cr:
            self._after_cr = False
            if octets[at] == _LF:
                return at + 1
        if self._answer is not None and self._announced is not None:
            return self._take_data(self._answer, self._announced, at)
        if self._answer is not None and self._answer.prompts and not self._long and octets[at : at + 1] == b">":
            self._answer.prompts = False
            said.append(Prompt())
            return at + 1
        found = _END.search(octets, at)
        if found is None:
            if len(octets) - at > MAX_LINE:
                self._long = True
                return len(octets)
            return None
        if not self._long and found.start() - at <= MAX_LINE:
            self._line(octets[at : found.start()].decode("latin-1").strip(), said)
        self._long, self._after_cr = False, octets[found.start()] == _CR
        return found.end()

    def _take_data(self, answer: _Answer, count: int, at: int) -> int | None:
        # the line feed behind the announcement has to be seen, or not to be there, before the data begin
        if len(self._begun) - at < max(count, 1 if self._after_cr else 0):
            return None
        answer.data, self._announced = bytes(self._begun[at : at + count]), None
        return at + count

    def _line(self, line: str, said: list[Said]) -> None:
        if not line:
            return
        answer = self._answer
        first, self._first = self._first, None
        if first is not None:
            is_pdu = _HEX.fullmatch(line) is not None
            said.append(Urc(first, line if is_pdu else ""))
            if is_pdu:
                return
        if _WITH_PDU.fullmatch(line) is not None:
            self._first = line
        elif answer is None:
            said.append(Urc(line))
        elif line == answer.command.text:
            pass  # echo
        elif (response := answer.ended(line)) is not None:
            if response.ok and answer.prompts:
                answer.lines.clear()  # late, of the command before: without its data this one cannot succeed
                return
            self._answer = None
            said.append(response)
        elif answer.takes(line):
            self._announced = answer.counted(line)
        else:
            said.append(Urc(line))
