"""`bondmate-image labels`: labels with the fingerprints of devices that made their keys."""

import argparse
import datetime
import re
from pathlib import Path
from typing import Any

from bondmate_image import gateway
from bondmate_image.console import say
from bondmate_image.enrolment import DEVICE
from bondmate_image.errors import ImageError
from bondmate_image.label import Label, printer

_GROUP = "[A-Z2-7]{4}"
_FINGERPRINT = re.compile("-".join([_GROUP] * 4))
"""docs/protocol.md, section 9."""


def add_parser(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `labels`."""
    summary = "Print labels, with the fingerprint of its key, for each device that has one."
    parser = parsers.add_parser("labels", help=summary, description=summary)
    parser.set_defaults(command=_labels)
    gateway.add_argument(parser, required=True)
    parser.add_argument(
        "--out", type=Path, default=Path("labels.pdf"), metavar="FILE.pdf", help="(default: %(default)s)"
    )


def _labels(arguments: argparse.Namespace) -> None:
    print_labels = printer(arguments.out)
    known = of(gateway.ask(arguments.gateway, "devices", ["--json"]))
    if not known:
        raise ImageError(
            f"no device has made its key yet, says the gateway {arguments.gateway}. Start one with its card"
        )
    say(print_labels(known))


def of(devices: Any) -> list[Label]:
    """Return a label for each device with a key that was not revoked. ImageError when the answer is not understood."""
    try:
        return [_label(each) for each in devices if each["fingerprint"] is not None and not each["revoked"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError("the gateway answered with no list of devices. Its version has to be this tool's") from error


def _label(device: dict[str, Any]) -> Label:
    if not (DEVICE.fullmatch(device["device"]) and _FINGERPRINT.fullmatch(device["fingerprint"])):
        raise ValueError(device["device"])
    enrolled_at = device["enrolled_at"]
    day_s = None if enrolled_at is None else int(datetime.datetime.fromisoformat(enrolled_at).timestamp())
    return Label(device["device"], day_s, device["fingerprint"])
