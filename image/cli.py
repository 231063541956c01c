"""The command line `bondmate-image`: arguments in, exit code out. Each command is a module of its own.

Exit codes: 0 done, 1 it failed (standard error says what, and what to do), 2 usage.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from bondmate_image import build, bundle, enrol, flash, labels
from bondmate_image.errors import ImageError

_COMMANDS = (build, bundle, flash, enrol, labels)
"""Modules with `add_parser(parsers)`: it adds the command, and sets `command` to the function that runs it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
    except ImageError as error:
        print(f"bondmate-image: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"bondmate-image: {error}; check the disk, and who may write there", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bondmate-image: stopped", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="bondmate-image",
        description="Builds the image of the device, puts it on cards, and makes them devices of a gateway.",
    )
    parsers = made.add_subparsers(metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add_parser(parsers)
    return made
