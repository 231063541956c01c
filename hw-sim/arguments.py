"""What words on the command line mean; argparse calls these, and tells the person what a wrong one lacks."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path


def between(least: float, most: float) -> Callable[[str], float]:
    """A number between these, both included."""

    def number(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
        return value

    return number


def count(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def percentage(text: str) -> int:
    """A whole number from 0 to 100."""
    value = int(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 100")
    return value


def windows(text: str) -> tuple[float, float]:
    """`UP_S,DOWN_S`."""
    up, comma, down = text.partition(",")
    seconds = between(0.001, 1_000_000)
    if not comma:
        raise argparse.ArgumentTypeError(f"{text!r} is not UP_S,DOWN_S")
    return seconds(up), seconds(down)


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def delays(text: str) -> tuple[float, float]:
    """`S` or `S,S`: the shortest and the longest."""
    shortest, _, longest = text.partition(",")
    seconds = between(0, 86_400)
    least, most = seconds(shortest), seconds(longest or shortest)
    if most < least:
        raise argparse.ArgumentTypeError(f"{text!r} has the longest before the shortest")
    return least, most


def telephone_number(text: str) -> str:
    """As `+4915550001`, at most 15 digits (ITU-T E.164)."""
    if not re.fullmatch(r"\+[1-9][0-9]{1,14}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no telephone number as +4915550001")
    return text


def file(text: str) -> Path:
    """A file that is there."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return path
