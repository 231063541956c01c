"""`bondmate-gateway enrol`: new devices, and a file for each.

All of it raises network.NetworkError, keys.KeyFileError, database.DatabaseError, apsw.Error and OSError.
"""

import argparse
import base64
import contextlib
import sys
from pathlib import Path
from typing import Any

from bondmate_sim.gateway import cards, credentials, devices, enrolments, files, keys, network, parser, records, view
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.network import NetworkError

_DAY_MS = 24 * 3600 * 1000


def by_credentials(arguments: argparse.Namespace, now_ms: int) -> list[str]:
    """Make devices with their keys, write a file for each, and return the names of the files."""
    if arguments.approve or arguments.valid_days is not None or arguments.network is not None:
        arguments.usage("--valid-days, --approve and --network go with --cards")
    with contextlib.closing(Database(arguments.data, create=True)) as database:
        public_key = keys.load_or_create(arguments.data).public_key()
        files.make_directory(arguments.out)
        addresses = _addresses(arguments)
        made = [credentials.generate() for _ in range(arguments.count)]
        written: list[Path] = []
        try:
            # By extend, which keeps the names of those that were written when one fails.
            written.extend(credentials.write(each, arguments.out, addresses, public_key) for each in made)
            devices.add(database, made, now_ms, arguments.groups)
        except BaseException:
            # A file whose device the gateway does not know is a device that no one would answer.
            for path in written:
                path.unlink()
            raise
    return [str(path) for path in written]


def by_cards(arguments: argparse.Namespace, now_ms: int) -> list[dict[str, Any]]:
    """Make the files for the cards of devices that make their keys themselves, and return them."""
    if not arguments.json:
        arguments.usage("--cards goes with --json: the files are printed, and written nowhere")
    if len(_addresses(arguments)) > cards.MAX_ADDRESSES:
        arguments.usage(f"an enrolment file has at most {cards.MAX_ADDRESSES} addresses")
    described = None if arguments.network is None else network.parse(_network_text(arguments.network))
    expires_ms = now_ms + (arguments.valid_days or parser.DEFAULT_DAYS) * _DAY_MS
    with contextlib.closing(Database(arguments.data, create=True)) as database:
        gateway = cards.Gateway(
            _addresses(arguments),
            keys.load_or_create(arguments.data).public_key(),
            keys.load_or_create(arguments.data, keys.Purpose.DH).public_key(),
            keys.load_or_create(arguments.data, keys.Purpose.FORCE),
        )
        made = enrolments.offer(
            database, arguments.count, now_ms, expires_ms, arguments.groups, approval=arguments.approve
        )
    return [
        {
            "device": records.device_text(each.device),
            "file": base64.b64encode(cards.file(each, gateway, now_ms // 1000, described)).decode(),
            "expires_at": view.utc_text(expires_ms),
        }
        for each in made
    ]


def _addresses(arguments: argparse.Namespace) -> list[str]:
    return arguments.address or [f"coap://{parser.DEFAULT_ADDRESS}"]


def _network_text(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(network.MAX_OCTETS + 1)
        with Path(name).open("rb") as file:
            return file.read(network.MAX_OCTETS + 1)
    except OSError as error:
        raise NetworkError(f"cannot read the network's description: {error}; give another --network") from error
