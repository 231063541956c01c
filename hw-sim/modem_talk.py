"""The conversation with the host: octets become commands, these are obeyed one by one, their results are said. Pure.

What a command does is for the parts of the modem to know.
"""

from collections.abc import Callable, Sequence

from bondmate_sim.modem_at import Command, LineError, Lines, NumberError, commands
from bondmate_sim.modem_body import Answer, Body, Later, Outcome, Prompt
from bondmate_sim.modem_errors import CmeError, FailureError

CTRL_Z, ESCAPE = 0x1A, 0x1B
MAX_DATA_OCTETS, MAX_UNHEARD_OCTETS = 4_096, 65_536
"""Of one entry of data; and of what is heard while a command runs."""


class Talk:
    """One conversation: it begins anew when power does."""

    def __init__(self, body: Body, obey: Callable[[Command], Outcome | None]) -> None:
        """`obey` gives a command to whom it concerns; None: to nobody."""
        self._body = body
        self._obey = obey
        self.echoes_data: Callable[[], bool] = lambda: True
        """Whether data of a given length are echoed too, where echo is on."""
        body.on_finish = self._finish
        self.restart()

    def restart(self) -> None:
        self._lines = Lines()
        self._running = False
        self._rest: list[Command] = []
        self._prompt: Prompt | None = None
        self._data = bytearray()
        self._unheard = bytearray()

    def break_off(self) -> None:
        """The line to the host was cut: what was begun on it will not end."""
        self._lines, self._prompt = Lines(), None
        self._data.clear()
        self._unheard.clear()
        self._body.entering_data = False
        self._body.release()

    def hear(self, octets: bytes) -> None:
        """The host sent these."""
        self._unheard += octets
        del self._unheard[MAX_UNHEARD_OCTETS:]
        self.go_on()

    def go_on(self) -> None:
        """Hear what came while a command ran, if it runs no more."""
        while self._unheard and not self._running and not self._body.mute:
            octet = self._unheard[0]
            del self._unheard[0]
            if self._prompt is not None:
                self._enter(self._prompt, octet)
                continue
            if self._body.echo:
                self._body.say(bytes([octet]))
            try:
                line = self._lines.push(octet)
                if line is not None:
                    self._rest = commands(line)
                    self._run()
            except LineError:
                self._finish(FailureError())

    def _enter(self, prompt: Prompt, octet: int) -> None:
        if prompt.length is None and octet in (CTRL_Z, ESCAPE):
            self._end_entry(prompt, None if octet == ESCAPE else bytes(self._data))
            return
        if self._body.echo and (prompt.length is None or self.echoes_data()):
            self._body.say(bytes([octet]))
        if len(self._data) < MAX_DATA_OCTETS:
            self._data.append(octet)
        if len(self._data) == prompt.length:
            self._end_entry(prompt, bytes(self._data))

    def _end_entry(self, prompt: Prompt, octets: bytes | None) -> None:
        self._prompt, self._running = None, True
        self._data.clear()
        self._body.entering_data = False
        self._attempt(lambda: prompt.take(octets))
        self._body.release()

    def _run(self) -> None:
        """The next command of the line, or its end."""
        self._running = True
        if not self._rest:
            self._finish(Answer())
            return
        command = self._rest.pop(0)
        self._attempt(lambda: self._obey_one(command))

    def _attempt(self, act: Callable[[], Outcome]) -> None:
        try:
            outcome = act()
        except (FailureError, NumberError) as failure:
            self._finish(failure)
            return
        match outcome:
            case Answer():
                self._finish(outcome)
            case Prompt():
                self._begin_entry(outcome)
            case Later():
                pass

    def _begin_entry(self, prompt: Prompt) -> None:
        faults = self._body.faults
        if faults.prompts_lost:
            faults.prompts_lost -= 1
        else:
            self._body.say(prompt.text)
        self._prompt, self._running = prompt, False
        self._body.entering_data = True

    def _obey_one(self, command: Command) -> Outcome:
        outcome = self._obey(command)
        if outcome is None:
            raise CmeError(4) if command.name.startswith("+") else FailureError()
        return outcome

    def _finish(self, outcome: Answer | Exception) -> None:
        """A command ended; the line does, when it failed or was the last."""
        if isinstance(outcome, Answer):
            self._say_lines(outcome.lines)
            if self._rest and outcome.final == "OK":
                self._run()
                return
            self._say_lines([outcome.final])
        else:
            failure = CmeError(50) if isinstance(outcome, NumberError) else outcome
            if not isinstance(failure, FailureError):
                raise failure
            self._say_lines(failure.lines)
            self._say_lines([failure.verdict(self._body.detail)])
        self._rest, self._running = [], False
        if isinstance(outcome, Answer):
            for result in outcome.then:
                self._body.report(result)

    def _say_lines(self, lines: Sequence[str | bytes]) -> None:
        if lines:
            octets = [line.encode("latin-1", "replace") if isinstance(line, str) else line for line in lines]
            self._body.say(b"\r\n" + b"\r\n".join(octets) + b"\r\n")
