"""`bondmate-image build`: from this repository to an image."""

import argparse
from pathlib import Path

from bondmate_image.errors import ImageError


def add_parser(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `build`."""
    summary = "Build the image of the device."
    parser = parsers.add_parser("build", help=summary, description=summary)
    parser.set_defaults(command=_build)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="where to put the image")


def _build(arguments: argparse.Namespace) -> None:
    raise ImageError(f"nothing is built into {arguments.out} yet")
