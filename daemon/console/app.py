"""bondmate-console: serves the officer's page on loopback, for the kiosk's browser alone (docs/console.md)."""

import argparse
import asyncio
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from bondmate import __version__
from bondmate.console import token as tokens
from bondmate.console.gate import Gate
from bondmate.console.server import Console

log = logging.getLogger(__name__)

DEFAULT_API, DEFAULT_RUNTIME = Path("/run/bondmate/console.sock"), Path("/run/bondmate-console")
DEFAULT_LISTEN = "127.0.0.1:8480"
EXIT_FAILED = 1
_SHUTDOWN_S = 0.5
"""A page's stream of events never ends by itself."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command's exit code: 0 told to stop, 1 failed, 2 usage."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        asyncio.run(_until_told_to_stop(arguments))
    except OSError as error:
        sys.stderr.write(f"bondmate-console: {error}\n")
        return EXIT_FAILED
    return 0


async def serve(api: Path, runtime: Path, address: tuple[str, int], on_ready: Callable[[str], None]) -> None:
    """Serve the page until cancelled; `on_ready` is called with its origin once it can be reached. Raises OSError.

    `address` is a loopback one; with port 0 the system chooses a free one.
    """
    token = tokens.load(runtime)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.create_server(address, family=family) as listener:
        port = listener.getsockname()[1]
        authority = f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"
        runner = web.AppRunner(Console(Gate(authority, token), api).app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            # last: a browser that finds this file finds the console too
            tokens.write_kiosk_page(runtime, f"http://{authority}", token)
            on_ready(f"http://{authority}")
            await asyncio.get_running_loop().create_future()
        finally:
            await runner.cleanup()


async def _until_told_to_stop(arguments: argparse.Namespace) -> None:
    def ready(origin: str) -> None:
        # without the token: a log is not for the kiosk's browser alone
        log.info("for the device at %s: page at %s/", arguments.api, origin)

    serving = asyncio.ensure_future(serve(arguments.api, arguments.runtime, arguments.listen, ready))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bondmate-console",
        description="Serve the officer's page to the browser of this device's own screen.",
        epilog="Exit codes: 0 told to stop, 1 it failed, 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"bondmate-console {__version__}")
    parser.add_argument("--api", type=Path, default=DEFAULT_API, metavar="SOCKET", help=f"default: {DEFAULT_API}")
    parser.add_argument(
        "--runtime",
        type=Path,
        default=DEFAULT_RUNTIME,
        metavar="DIR",
        help=f"where the token is kept and {tokens.KIOSK_FILE} is put (default: {DEFAULT_RUNTIME})",
    )
    parser.add_argument(
        "--listen",
        type=_loopback,
        default=DEFAULT_LISTEN,
        metavar="ADDRESS:PORT",
        help=f"a loopback address; port 0: a free one (default: {DEFAULT_LISTEN})",
    )
    return parser


def _loopback(text: str) -> tuple[str, int]:
    """Raises ArgumentTypeError for what is no loopback address with a port."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address with a port, as {DEFAULT_LISTEN} is") from error
    if not address.is_loopback:
        raise argparse.ArgumentTypeError(f"{host} can be reached from elsewhere: the page is for this board alone")
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port")
    return str(address), number


if __name__ == "__main__":
    sys.exit(main())
