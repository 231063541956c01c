"""The ways in which the simulator's tools speak, each whole lines at once."""

import sys
from pathlib import Path
from typing import TextIO

LAST_LINES = 12


def say(text: str) -> None:
    """Print to standard output, so that a reader of a pipe has it at once."""
    _write(sys.stdout, text)


def complain(text: str) -> None:
    """Print to standard error."""
    _write(sys.stderr, text)


def complain_with_log(text: str, log: Path) -> None:
    """Print to standard error, and where the log is and how it ends."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    end = "\n".join(f"    {line}" for line in lines[-LAST_LINES:])
    complain(f"{text}\nits log is {log}; it ends with:\n{end}" if lines else f"{text}\nits log {log} is empty")


def _write(stream: TextIO, text: str) -> None:
    # A terminal that lacks a letter shows a question mark; it must not end the program.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
