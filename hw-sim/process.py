"""One process of the simulated world: started, watched through its log file, stopped, killed, restarted.

It outlives neither its parent nor the block that holds it: the kernel kills it when the parent dies (PR_SET_PDEATHSIG).
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bondmate_sim.errors import SimulatorError

POLL_S = 0.01
STOP_S = 5.0
"""A process that has not ended so long after SIGTERM is killed."""
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")
"""util-linux's setpriv sets the signal in the child itself and then becomes the command: the same process id."""

T = TypeVar("T")


class WaitedError(SimulatorError):
    """What was awaited did not come in time."""


class ProcessError(SimulatorError):
    """A process of the world ended, or did not do what was awaited; `log` has what it said."""

    def __init__(self, text: str, log: Path) -> None:
        """`text` says what happened to which process."""
        super().__init__(text)
        self.log = log


def wait_until(look: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Look again and again at the real thing until it gives something true. Raises WaitedError after the time.

    `what` completes the sentence "waited N s for ...".
    """
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        if time.monotonic() >= deadline:
            raise WaitedError(f"waited {timeout_s:g} s for {what}")
        time.sleep(POLL_S)
    return seen


class Process:
    """A command that can run many times; its standard output and error go to one log, one run after the other."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment` is added to ours. Nothing runs before start()."""
        self.name = name
        self.log = log
        self.command = list(command)
        self._environment = dict(environment or {})
        self._running: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Of the running process; None when it does not run."""
        return self._running.pid if self._running is not None and self._running.poll() is None else None

    def start(self) -> None:
        """Run it. Its own session, so that a Ctrl-C reaches only us, and we stop it in order.

        Raises ProcessError when it runs already or the program is not there.
        """
        if self.pid is not None:
            raise ProcessError(f"{self.name} runs already (process {self.pid})", self.log)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                self._running = subprocess.Popen(
                    [*DIE_WITH_PARENT, *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(
                    f"cannot start {self.name}: {error}; setpriv comes with the package util-linux", self.log
                ) from error

    def wait_for_line(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Wait until this run's log has a line that the regular expression matches from its beginning.

        Raises ProcessError when the process ends before, or the time is over.
        """
        expression = re.compile(pattern)

        def look() -> re.Match[str] | None:
            return next(filter(None, map(expression.match, self._lines())), None)

        return self.wait_until(look, timeout_s, f"to say {pattern!r}")

    def wait_until(self, look: Callable[[], T | None], timeout_s: float, what: str) -> T:
        """Look again and again, as long as this process runs; `what` completes "waited N s for PROCESS ...".

        Raises ProcessError when it ended, or the time is over.
        """

        def look_while_running() -> T | None:
            ended = self.pid is None  # asked first: what it did just before its end still counts
            seen = look()
            if ended and not seen:
                raise ProcessError(f"{self.name} ended ({self._how_ended()}); awaited: {self.name} {what}", self.log)
            return seen

        try:
            return wait_until(look_while_running, timeout_s, f"{self.name} {what}")
        except WaitedError as error:
            raise ProcessError(str(error), self.log) from None

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL if that is not enough; returns the exit code, None when it never ran."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int | None:
        """SIGKILL: no chance to tidy up, as in a power cut. Returns the exit code, None when it never ran."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int | None:
        if self._running is None:
            return None
        if self._running.poll() is None:
            self._running.send_signal(number)
        try:
            return self._running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._running.kill()
            return self._running.wait()

    def _lines(self) -> list[str]:
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace").splitlines()

    def _how_ended(self) -> str:
        if self._running is None:
            return "never started"
        code = self._running.poll()
        if code is None:
            return "still running"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
