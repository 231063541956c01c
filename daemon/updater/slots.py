"""The two slots, by RAUC's own command, which asks its service over D-Bus; and the restart, which systemd does.

What this process may ask is in the image's policy for D-Bus (de.pengutronix.rauc.conf): nothing here runs as root.
"""

import json
import re
import subprocess
from pathlib import Path

from bondmate.updater.order import Order

INSTALL_S = 3600.0
"""A slow card takes minutes to write up to 1 GiB."""
ANSWER_S = 60.0
RESTART_FILE = "restart"
"""bondmate-restart.path looks for it."""

REFUSED = {
    10: "it is older than the oldest version that may be installed here",
    11: "a version in between has to be installed first",
    12: "its store and that of this device do not fit each other",
    13: "it does not say what it may replace",
    14: "it is for devices with another screen",
}
"""What accept_bundle.py means by its exit codes; of an error of its own RAUC tells the code alone."""

_BUSY = "Already processing a different method"


class BusyError(Exception):
    """RAUC does something else at the moment."""


class RefusedError(Exception):
    """RAUC did not install it."""


class Slots:
    """The slots of this device."""

    def __init__(self, runtime: Path, rauc: str = "rauc") -> None:
        """`runtime` is where a restart is asked for."""
        self._runtime = runtime
        self._rauc = rauc

    def check(self, bundle: Path, order: Order) -> None:
        """Raises RefusedError for a bundle that nobody signed whom this image believes, or that is another version."""
        done = self._run("info", "--output-format=json", str(bundle), timeout_s=ANSWER_S)
        if done.returncode:
            raise RefusedError(_last_words(done))
        try:
            version = json.loads(done.stdout).get("version")
        except (ValueError, AttributeError) as error:
            raise RefusedError(f"rauc info: {error}") from error
        if version != order.software:
            raise RefusedError(f"the bundle holds {version!r:.80}, ordered was {order.software}")

    def install(self, bundle: Path) -> None:
        """Write it to the slot that does not run, which the next start then tries. Raises RefusedError, BusyError."""
        done = self._run("install", str(bundle), timeout_s=INSTALL_S)
        if done.returncode:
            if _BUSY in done.stdout + done.stderr:
                raise BusyError
            raise RefusedError(_last_words(done))

    def mark_good(self) -> None:
        """Give the slot that runs its tries back. Raises RefusedError."""
        self._mark("good")

    def mark_bad(self) -> None:
        """Have the next start take the other slot. Raises RefusedError."""
        self._mark("bad")

    def mark_active(self) -> None:
        """Have the next start take the slot that runs. Raises RefusedError."""
        self._mark("active")

    def restart(self) -> None:
        """Ask for a restart. Raises OSError."""
        (self._runtime / RESTART_FILE).touch()

    def _mark(self, state: str) -> None:
        done = self._run("status", f"mark-{state}", timeout_s=ANSWER_S)
        if done.returncode:
            raise RefusedError(f"the slot was not marked as {state}: {_last_words(done)}")

    def _run(self, *words: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._rauc, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RefusedError(f"rauc {words[0]}: {error}") from error


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    """What RAUC says of an error, as short as it can be."""
    said = done.stdout + done.stderr
    if (code := re.search(r"Pre-install handler error: .*code (\d+)", said)) and (text := REFUSED.get(int(code[1]))):
        return text
    # a terminal's codes are no words
    lines = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line).strip() for line in said.splitlines() if line.strip()]
    errors = [line.partition("LastError: ")[2] for line in lines if "LastError: " in line]
    return (errors or lines or [f"rauc ended with {done.returncode}"])[-1]
