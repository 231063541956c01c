"""bondmated: reads the configuration, picks the adapters, and runs the device.

The only module that knows which adapter stands behind which port.
"""

import bondmate.lean  # isort: skip  # noqa: F401 - before whatever would import ssl

import argparse
import asyncio
import contextlib
import importlib
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bondmate import __version__, config, credentials, logs, session
from bondmate.board import gestures, gnss_settings, other_inputs, time_keeper
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.core.gesture import Gesture
from bondmate.core.tracking import TrackingPolicy
from bondmate.device import Device
from bondmate.drivers import pins
from bondmate.drivers.battery import PowerSupply
from bondmate.drivers.button import Button
from bondmate.drivers.gnss import GnssReceiver
from bondmate.drivers.indicator import PinIndicator
from bondmate.durable import lock_directory, replace_file
from bondmate.errors import BondMateError, ConfigurationError, LocalError, StoreError
from bondmate.faults import Faults
from bondmate.notify import ServiceManager
from bondmate.officer_pin import PIN_FILE
from bondmate.parts import Parts
from bondmate.recorder import Recorder
from bondmate.records import History, SessionId
from bondmate.store.outbox import SqliteOutbox
from bondmate.supervision import supervise
from bondmate.ways import ways_to_gateway

log = logging.getLogger(__name__)

EXIT_FAILED, EXIT_CONFIGURATION = 1, 78
DEFAULT_CONFIG = Path("/etc/bondmate/device.toml")
LAST_GOOD_FILE = "last-good.toml"
LIVE_S = 1.0
"""How often the button's pin is read, at least, to know that it can be."""
END_S = 5.0
"""An end takes no longer, whatever hangs: systemd waits for it before it starts the button again."""


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
    if arguments.check:
        return _check(arguments.config)
    return _run_given_or_last_good(arguments.config)


def command() -> None:
    """The process bondmated: main, and an end that no thread hanging in a dead disk or port can hold up."""
    code = main()
    _end_in(END_S, code)
    sys.exit(code)


def _run_given_or_last_good(given: Path) -> int:
    """Run with the file that was given; if the device cannot be armed with it, with what worked last."""
    last_good = config.state_dir_of(given) / LAST_GOOD_FILE
    setup = None
    try:
        setup = _read(given)
        return _run_to_the_end(setup, [])
    except (ConfigurationError, _NotArmedError) as error:
        failure = error
        _complain(failure)
    exit_code = EXIT_CONFIGURATION if isinstance(failure, ConfigurationError) else EXIT_FAILED
    try:
        fallback = _read(last_good) if last_good.exists() else None
        if fallback is None or (setup is not None and fallback.text == setup.text):
            return exit_code
        return _run_to_the_end(fallback, failure.problems)
    except (ConfigurationError, _NotArmedError) as error:
        _complain(error)
        return exit_code


def _complain(error: "ConfigurationError | _NotArmedError") -> None:
    for problem in error.problems:
        print(f"bondmated: {problem}", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class _Setup:
    """What a run starts from."""

    path: Path
    text: str
    configuration: config.Configuration
    known: credentials.Credentials


class _NotArmedError(LocalError):
    """The device could not be armed as it is configured."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _check(path: Path) -> int:
    try:
        setup = _read(path)
        pins.find_factory(setup.configuration.gpio.factory)
    except (ConfigurationError, LocalError) as error:
        for problem in getattr(error, "problems", [str(error)]):
            print(f"bondmated: {problem}", file=sys.stderr)
        return EXIT_CONFIGURATION
    print(f"{path}: good; this device is {setup.known.device}")
    return 0


def _read(path: Path) -> _Setup:
    """The configuration and the credentials that it names. Raises ConfigurationError."""
    configuration, text = config.load(path)
    return _Setup(path, text, configuration, credentials.load(configuration.device.credentials_dir))


def _run_to_the_end(setup: _Setup, problems: list[str]) -> int:
    """Run the device; the exit code. `problems` are those of a better configuration that could not be used.

    Raises _NotArmedError when it failed before it was armed.
    """
    logs.start(setup.configuration.log.level)
    run = _Run(setup, problems)
    try:
        asyncio.run(run.serve())
    except (BondMateError, ExceptionGroup) as error:
        texts = [str(cause) or type(cause).__name__ for cause in _causes(error)]
        log.critical("ended: %s", "; ".join(texts), exc_info=not isinstance(error, BondMateError))
        if not run.armed:
            raise _NotArmedError([f"{setup.path}: {text}" for text in texts]) from error
        return EXIT_FAILED
    finally:
        if run.end is not None:
            run.end.cancel()
    return 0


def _causes(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [error]


class _Run:
    """One run of the device in this process."""

    def __init__(self, setup: _Setup, problems: list[str]) -> None:
        self.armed = False
        self.end: threading.Timer | None = None
        """Set when the end has begun: it ends the process, whatever still hangs in it."""
        self._setup = setup
        self._faults = Faults()
        self._manager = ServiceManager()
        open_to_others = credentials.exposed(setup.configuration.device.credentials_dir)
        self._faults.report("credentials", open_to_others, "chmod it to 0600; enrol anew if somebody read it", None)
        if problems:
            text = f"{'; '.join(problems)}. Running with the last good configuration, {setup.path}"
            self._faults.report(
                "configuration", text, "correct the file and restart; bondmated --check shows all", None
            )

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT. Raises what ended it otherwise."""
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            running = asyncio.ensure_future(self._run(stack))
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, running.cancel)
            try:
                await running
            except asyncio.CancelledError:
                log.info("ended on request")
            finally:
                self.end = _end_in(END_S, EXIT_FAILED)

    async def _run(self, stack: contextlib.AsyncExitStack) -> None:
        configuration, known, faults = self._setup.configuration, self._setup.known, self._faults
        loop, deadline_s = asyncio.get_running_loop(), configuration.store.deadline_s
        state_dir = configuration.device.state_dir
        self._claim(state_dir, stack)
        chores, counter = session.Chores(), session.StartCounter(state_dir)
        stack.push_async_callback(_within, deadline_s, chores.close)
        chores.begin(counter.load)
        await _within(deadline_s, chores.settled)  # else it counts from 0, until the gateway has refused that
        current = counter.draw()
        chores.begin(counter.persist)

        outbox = SqliteOutbox(state_dir, known.device)
        stack.push_async_callback(_within, deadline_s, outbox.close)
        history = await _history(outbox, current, deadline_s)

        factory = pins.open_factory(configuration.gpio.factory)
        stack.callback(factory.close)
        gpio = configuration.gpio
        indicator = PinIndicator(
            factory, gpio.vibration_pin, gpio.led_pin, gpio.buzzer_pin, covert=configuration.indicator.covert
        )
        stack.callback(indicator.close)

        def renew() -> SessionId:
            ahead = counter.draw(session.AHEAD)
            chores.begin(counter.persist)
            return ahead

        receiver = GnssReceiver(gnss_settings(configuration.gnss))
        ways = ways_to_gateway(configuration, known, current, renew, factory)
        stack.push_async_callback(ways.close)
        battery = None
        if (path := configuration.battery.path) is not None:
            # the device is made of it, and told by it
            battery = PowerSupply(path, lambda percent, charging: device.senses.on_battery(percent, charging))  # noqa: PLW0108
        device = Device(
            Parts(
                recorder=Recorder(known.device, current, known.signer, history, loop.time()),
                outbox=outbox,
                bearers=ways.bearers,
                locator=receiver,
                modem=ways.modem,
                battery=battery,
                indicator=indicator,
                delivery=Delivery(
                    DeliveryPolicy(race_after_s=configuration.delivery.race_after_s),
                    ways.routes,
                    random.Random(),  # noqa: S311 - jitter, no secret
                ),
                gateway_keys=known.gateway_keys,
                hold_s=configuration.panic.hold_s,
                gestures=gestures(configuration),
                cancel_gesture=None if (cancel := configuration.gestures.cancel) is None else Gesture(cancel),
                countdown_s=configuration.automatic.countdown_s,
                man_down_s=configuration.automatic.man_down_s,
                pin_file=configuration.device.credentials_dir / PIN_FILE,
                tracking=TrackingPolicy(
                    alert_interval_s=configuration.tracking.alert_interval_s,
                    presence_interval_s=configuration.tracking.presence_interval_s,
                    presence_bits=configuration.tracking.presence_bits,
                ),
                duty_max_s=configuration.duty.max_h * 3600,
                store_deadline_s=deadline_s,
                keep_delivered_s=configuration.store.keep_delivered_h * 3600,
                system_utc_ms=(lambda: time.time_ns() // 1_000_000) if configuration.clock.source == "system" else None,
                time_keeper=time_keeper(configuration.clock, stack),
                faults=faults,
            )
        )
        ways.listen(device.take_receipt, device.wake_up, device.reachable)

        async def serve_api() -> None:
            # imported here and in a thread: aiohttp takes longer to import than all that a press needs
            server = await asyncio.to_thread(importlib.import_module, "bondmate.api.server")
            await server.serve(device, configuration.device.runtime_dir, configuration, configuration.api.console_user)

        async with asyncio.TaskGroup() as group:
            stack.callback(self._manager.stopping)

            def armed() -> None:
                button = Button(factory, gpio.button_pin, partial(device.on_edge, 0))
                stack.callback(button.close)
                for part in other_inputs(factory, gpio, device, faults):
                    stack.callback(part.close)
                group.create_task(self._live(button, device))
                self.armed = True
                self._manager.ready(f"armed, {known.device}, session {current}")
                chores.begin(self._keep_as_last_good)

            group.create_task(device.run(armed))
            if battery is not None:
                group.create_task(supervise("battery-driver", battery.run, faults))
            group.create_task(supervise("gnss-driver", lambda: receiver.run(device.on_fix), faults))
            if ways.modem is not None:
                group.create_task(supervise("modem-driver", ways.modem.run, faults))
            group.create_task(supervise("api", serve_api, faults))

    def _claim(self, state_dir: Path, stack: contextlib.AsyncExitStack) -> None:
        try:
            stack.callback(os.close, lock_directory(state_dir))
        except BlockingIOError:
            raise LocalError(f"{state_dir} is in use by another bondmated: stop that one first") from None
        except OSError as error:
            # no directory, no disk: the store says so too, and the button works all the same
            log.warning("%s cannot be claimed: %s", state_dir, error)

    async def _live(self, button: Button, device: Device) -> None:
        """Feed the watchdog from the event loop while the button can be read; end the process when it cannot."""
        every_s = min(LIVE_S, (self._manager.watchdog_s or LIVE_S) / 2)
        said = ""
        while True:
            if button.is_pressed in (True, False):
                self._manager.alive()
            waiting = sum(device.waiting().values())
            text = f"armed, {device.parts.recorder.device}, {waiting} records wait for a receipt"
            if text != said:
                self._manager.status(text)
                said = text
            await asyncio.sleep(every_s)

    def _keep_as_last_good(self) -> None:
        """The device was armed with it, so the next bad file finds it. Blocks; spares the card when nothing changed."""
        path, data = self._setup.configuration.device.state_dir / LAST_GOOD_FILE, self._setup.text.encode()
        try:
            if not path.exists() or path.read_bytes() != data:
                replace_file(path, data)
        except OSError as error:
            log.warning("the configuration could not be kept as the last good one: %s", error)


def _end_in(seconds: float, code: int) -> threading.Timer:
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()
    return timer


async def _within(deadline_s: float, wait: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(wait(), deadline_s)


async def _history(outbox: SqliteOutbox, current: SessionId, deadline_s: float) -> History:
    """Where the chains ended, if the store can say so in time; else that it is unknown."""
    try:
        async with asyncio.timeout(deadline_s):
            await outbox.open()
            history = await outbox.history()
    except (StoreError, TimeoutError) as error:
        log.warning("the outbox cannot be read: %s", str(error) or "opening it hangs")
        return History.lost()
    # an earlier run left its opening record, if the store that had it is still there
    return History.lost() if not history.heads and current.counter > 1 else history


if __name__ == "__main__":
    command()
