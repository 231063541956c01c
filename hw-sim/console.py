"""The ways in which the simulator's tools speak, each whole lines at once."""

import sys
from pathlib import Path

LAST_LINES = 12


def say(text: str) -> None:
    """Print to standard output, so that a reader of a pipe has it at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def complain_with_log(text: str, log: Path) -> None:
    """Print to standard error, and where the log is and how it ends."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    end = "\n".join(f"    {line}" for line in lines[-LAST_LINES:])
    complain(f"{text}\nits log is {log}; it ends with:\n{end}" if lines else f"{text}\nits log {log} is empty")
