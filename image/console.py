"""How the tool speaks: whole lines, at once."""

import sys
from typing import TextIO


def say(text: str) -> None:
    """Print to standard output, so that a reader of a pipe has it at once."""
    _write(sys.stdout, text)


def complain(text: str) -> None:
    """Print to standard error."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    # A terminal that lacks a letter shows a question mark; it must not end the program.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
