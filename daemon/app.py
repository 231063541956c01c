"""bondmated: reads the configuration, picks the adapters, and runs the device.

The only module that knows which adapter stands behind which port.
"""

import argparse
import asyncio
import contextlib
import importlib
import logging
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bondmate import __version__, config, credentials, logs, session
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.device import Device, Parts, supervise
from bondmate.drivers.button import PanicButton
from bondmate.drivers.gnss import GnssReceiver
from bondmate.drivers.indicator import PinIndicator
from bondmate.drivers.pins import open_factory
from bondmate.durable import replace_file
from bondmate.errors import BondMateError, ConfigurationError, StoreError
from bondmate.faults import Faults
from bondmate.notify import ServiceManager
from bondmate.recorder import Recorder
from bondmate.records import History, SessionId
from bondmate.store.outbox import SqliteOutbox
from bondmate.transport.coap import CoapBearer

log = logging.getLogger(__name__)

EXIT_FAILED, EXIT_CONFIGURATION = 1, 78
DEFAULT_CONFIG = Path("/etc/bondmate/device.toml")
LAST_GOOD_FILE = "last-good.toml"


def main(argv: Sequence[str] | None = None) -> int:
    """The process's exit code: 0 ended on request, 1 failed, 2 usage, 78 configuration."""
    parser = argparse.ArgumentParser(
        prog="bondmated",
        description="The daemon of a BondMate device.",
        epilog="Exit codes: 0 ended on request, 1 failed, 2 usage, 78 the configuration cannot be used.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help=f"default: {DEFAULT_CONFIG}")
    parser.add_argument("--check", action="store_true", help="check configuration and credentials, and end")
    parser.add_argument("--version", action="version", version=f"bondmated {__version__}")
    arguments = parser.parse_args(argv)
    faults = Faults()
    try:
        configuration = _configure(arguments.config, faults, last_good_too=not arguments.check)
        known = credentials.load(configuration.device.credentials_dir)
    except ConfigurationError as error:
        for problem in error.problems:
            print(f"bondmated: {problem}", file=sys.stderr)
        return EXIT_CONFIGURATION
    if arguments.check:
        print(f"{arguments.config}: good; this device is {known.device}")
        return 0
    logs.start(configuration.log.level)
    try:
        asyncio.run(_serve(configuration, known, faults))
    except BondMateError as error:
        log.critical("ended: %s", error)
        return EXIT_FAILED
    return 0


def _configure(path: Path, faults: Faults, *, last_good_too: bool) -> config.Configuration:
    """The configuration; for a bad file the last good one, and a fault. Raises ConfigurationError without either."""
    try:
        configuration, text = config.load(path)
    except ConfigurationError as error:
        # where the last good one lies is itself configured; a file too broken to say has it in the default place
        last_good = config.state_dir_of(path) / LAST_GOOD_FILE
        if not last_good_too or not last_good.exists():
            raise
        configuration, _ = config.load(last_good)
        text = f"{'; '.join(error.problems)}. Running with the last good configuration, {last_good}"
        faults.report("configuration", text, f"correct {path} and restart; bondmated --check shows every fault", None)
        return configuration
    if last_good_too:
        with contextlib.suppress(OSError):  # a full or read-only disk: then the next bad file finds an older one
            replace_file(configuration.device.state_dir / LAST_GOOD_FILE, text.encode())
    return configuration


async def _serve(configuration: config.Configuration, known: credentials.Credentials, faults: Faults) -> None:
    """Run the device until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        running = asyncio.ensure_future(_run(configuration, known, faults, stack))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            log.info("ended on request")


async def _run(
    configuration: config.Configuration,
    known: credentials.Credentials,
    faults: Faults,
    stack: contextlib.AsyncExitStack,
) -> None:
    manager = ServiceManager()
    state_dir = configuration.device.state_dir
    current = session.draw(state_dir)
    outbox = SqliteOutbox(state_dir, known.device)
    stack.push_async_callback(outbox.close)
    history = await _open(outbox, current, configuration.store.deadline_s, faults)

    factory = open_factory(configuration.gpio.factory)
    stack.callback(factory.close)
    pins = configuration.gpio
    indicator = PinIndicator(factory, pins.vibration_pin, pins.led_pin, covert=configuration.indicator.covert)
    stack.callback(indicator.close)

    receiver = GnssReceiver(configuration.gnss.port, configuration.gnss.speed_baud)
    bearer = CoapBearer(
        known.bearers["ip"], current, known.addresses[0], lambda: session.draw(state_dir, session.AHEAD)
    )
    stack.push_async_callback(bearer.close)
    started_s = asyncio.get_running_loop().time()
    device = Device(
        Parts(
            recorder=Recorder(known.device, current, known.signer, history, started_s),
            outbox=outbox,
            bearers=(bearer,),
            locator=receiver,
            indicator=indicator,
            delivery=Delivery(DeliveryPolicy(), (bearer.name,), random.Random()),  # noqa: S311 - jitter, no secret
            gateway_keys=known.gateway_keys,
            hold_s=configuration.panic.hold_s,
            store_deadline_s=configuration.store.deadline_s,
            system_utc_ms=(lambda: time.time_ns() // 1_000_000) if configuration.clock.source == "system" else None,
            faults=faults,
        )
    )

    bearer.listen(device.take_receipt)

    async def serve_api() -> None:
        # imported here and in a thread: aiohttp takes longer to import than all that a press needs
        server = await asyncio.to_thread(importlib.import_module, "bondmate.api.server")
        await server.serve(device, configuration.device.runtime_dir)

    def armed() -> None:
        button = PanicButton(factory, pins.button_pin, device.on_edge)
        stack.callback(button.close)
        manager.ready(f"armed, {known.device}, session {current}")

    async with asyncio.TaskGroup() as group:
        stack.callback(manager.stopping)
        group.create_task(device.run(armed))
        group.create_task(supervise("gnss-driver", lambda: receiver.run(device.on_fix), faults))
        group.create_task(supervise("api", serve_api, faults))
        if manager.watchdog_s is not None:
            group.create_task(_feed(manager, manager.watchdog_s / 2))


async def _open(outbox: SqliteOutbox, current: SessionId, deadline_s: float, faults: Faults) -> History:
    """Open the outbox and read where the chains ended; without it the device runs from memory and says so."""
    try:
        async with asyncio.timeout(deadline_s):
            await outbox.open()
            history = await outbox.history()
    except (StoreError, TimeoutError) as error:
        text = str(error) or "opening the outbox hangs"
        faults.report("store", text, "alerts are sent from memory; replace the card soon", None)
        history = History({})
    # an earlier run left its opening record, if the store that has it is still there
    return History({}, lost=True) if not history.heads and current.counter > 1 else history


async def _feed(manager: ServiceManager, every_s: float) -> None:
    """Feed the watchdog from the event loop: if this stops, a press would not be served either."""
    while True:
        manager.alive()
        await asyncio.sleep(every_s)


if __name__ == "__main__":
    sys.exit(main())
