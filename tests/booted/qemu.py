"""How QEMU is spoken to from outside: its monitor (QMP), and its protocol for tests (qtest)."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

ANSWER_S = 300.0
QUIET_S = 5.0
"""No pattern lasts for so long: without a pulse in that time nothing is being felt, on a busy computer too."""


class Lines:
    """The lines of the virtual board's PL061, from outside: QEMU's qtest protocol."""

    def __init__(self, connection: socket.socket, answers: TextIO, chip: str) -> None:
        self._connection = connection
        self._answers = answers
        self._chip = chip
        # from here on QEMU tells of what the board drives, in lines between the answers
        self._say(f"irq_intercept_out {chip}")

    def set(self, line: int, *, high: bool) -> None:
        """Drive an input."""
        self._say(f"set_irq_in {self._chip} unnamed-gpio-in {line} {int(high)}")

    def wait_for_output(self, line: int, timeout_s: float = ANSWER_S) -> None:
        """Until the board next drives an output high; TimeoutError if it does not. Nothing else can be asked then."""
        self._connection.settimeout(timeout_s)
        while self._next() != f"IRQ raise {line}":
            pass

    def pulses(self, line: int) -> int:
        """Return how often an output is driven high until nothing is felt any more. Nothing else can be asked then."""
        number = 0
        with suppress(TimeoutError):
            while True:
                self.wait_for_output(line, QUIET_S)
                number += 1
        return number

    def _say(self, text: str) -> None:
        self._connection.sendall(f"{text}\n".encode())
        while (answer := self._next()).startswith("IRQ "):
            pass
        assert answer.startswith("OK"), f"qtest: {text}: {answer}"

    def _next(self) -> str:
        line = self._answers.readline()
        assert line, "QEMU ended"
        return line.strip()


def find_chip(ask: Callable[..., Any]) -> str:
    """Return where the chip stands among QEMU's devices; no option gives it a name."""
    place = "/machine/unattached"
    found = ask("qom-list", path=place)
    (chip,) = [each["name"] for each in found if each["type"] == "child<pl061>"]
    return f"{place}/{chip}"


def monitor(connection: socket.socket, answers: TextIO) -> Callable[..., Any]:
    """Return what asks QEMU's monitor for one command (QMP)."""
    answers.readline()  # the greeting

    def ask(name: str, /, **arguments: object) -> Any:
        connection.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while "return" not in (answer := json.loads(answers.readline())):
            assert "error" not in answer, answer
        return answer["return"]

    ask("qmp_capabilities")
    return ask
