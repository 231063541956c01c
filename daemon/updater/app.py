"""The process bondmate-updater: the daemon's socket on one side, RAUC on the other, and an errand in between."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bondmate import __version__
from bondmate.api import client
from bondmate.errors import BondMateError
from bondmate.updater import order
from bondmate.updater.errand import IDLE_S, Errand, wait_for_card
from bondmate.updater.order import Situation, UnfitError
from bondmate.updater.slots import RefusedError, Slots

log = logging.getLogger(__name__)

DEFAULT_API = Path("/run/bondmate/updater.sock")
DEFAULT_STATE, DEFAULT_RUNTIME = Path("/data/bondmate-updater"), Path("/run/bondmate-updater")
VERSION, BOOT = Path("/usr/share/bondmate/version"), Path("/proc/sys/kernel/random/boot_id")


class Daemon:
    """The daemon, behind its socket."""

    def __init__(self, api: Path) -> None:
        self._api = api

    def ask(self) -> Situation | None:
        """What there is to do; None while it does not answer."""
        try:
            return order.read(client.call(self._api, "GET", "/update"))
        except (BondMateError, UnfitError) as error:
            log.info("%s", error)
            return None

    def begin(self, number: int, software: str) -> bool:
        """It is about to be installed; whether the daemon knows now, and wants it."""
        try:
            self._say(number, None, software)
        except BondMateError as error:
            log.info("message %d is not begun: %s", number, error)
            return False
        return True

    def tell(self, number: int, done: bool, text: str) -> bool:
        """What became of an order; whether the daemon knows it now."""
        try:
            self._say(number, done, text)
        except client.UnreachableError as error:
            log.info("%s", error)
            return False
        except client.RefusedError as error:
            # one that does not want that any more will not want it later
            log.warning("the daemon does not take what became of message %d: %s", number, error)
            return error.is_final
        return True

    def _say(self, number: int, done: bool | None, text: str) -> None:
        client.call(self._api, "POST", "/update", {"number": number, "done": done, "text": text})


def main(argv: Sequence[str] | None = None) -> int:
    """Run until killed; the exit code is 1 where the device lacks what is needed, 2 for usage."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        software, boot = (file.read_text(encoding="ascii").strip() for file in (arguments.version_file, BOOT))
        daemon, slots = Daemon(arguments.api), Slots(arguments.runtime)
        wait_for_card(daemon, slots, arguments.state, time.monotonic, time.sleep)
        errand = Errand(daemon, slots, arguments.state, software, boot, time.monotonic)
        while True:
            time.sleep(_step(errand))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"bondmate-updater: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def _step(errand: Errand) -> float:
    try:
        return errand.step()
    except RefusedError as error:
        log.warning("%s", error)
        return IDLE_S


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bondmate-updater",
        description="Fetch and install the updates that the gateway orders, when the daemon says that it is time.",
        epilog="Exit codes: 0 told to stop, 1 it failed, 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"bondmate-updater {__version__}")
    for name, default, text in (
        ("--api", DEFAULT_API, "the daemon's socket"),
        ("--state", DEFAULT_STATE, "where bundles are kept until they are installed"),
        ("--runtime", DEFAULT_RUNTIME, "where a restart is asked for"),
        ("--version-file", VERSION, "what this image calls itself"),
    ):
        parser.add_argument(name, type=Path, default=default, metavar="PATH", help=f"{text} (default: {default})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
