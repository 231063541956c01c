"""Our installed commands, run to their end as a person would run them. Those that stay are in process.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bondmate_sim.errors import SimulatorError

COMMAND_S = 30.0


class CommandError(SimulatorError):
    """A command failed; `code` is its exit code."""

    def __init__(self, text: str, code: int) -> None:
        """`text` has the command, and what it said on standard error."""
        super().__init__(text)
        self.code = code


def command_line(name: str, *arguments: str | Path) -> list[str]:
    """Return the command with the installed program beside the interpreter that runs us."""
    return [str(Path(sys.executable).with_name(name)), *map(str, arguments)]


def run(name: str, *arguments: str | Path) -> str:
    """Run it; returns its standard output. Raises CommandError when it fails, hangs or is not there."""
    words = " ".join([name, *map(str, arguments)])
    try:
        done = subprocess.run(
            command_line(name, *arguments), capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"{words} did not end in {COMMAND_S:g} s", 1) from None
    except OSError as error:
        raise CommandError(f"cannot run {words}: {error}", 1) from error
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or "it said nothing"
        raise CommandError(f"{words} ended with exit code {done.returncode}: {said}", done.returncode)
    return done.stdout


def run_json(name: str, *arguments: str | Path) -> Any:
    """Run it with `--json`; returns what it printed, parsed. Raises CommandError also when that is no JSON."""
    printed = run(name, *arguments, "--json")
    try:
        return json.loads(printed)
    except ValueError as error:
        raise CommandError(f"{name} {' '.join(map(str, arguments))} --json printed no JSON: {error}", 1) from error
