"""A run of bondmated that is not armed: without credentials, or with such as cannot be read.

The button, the palm, the watchdog and the API live, and say so. Meanwhile the credentials are looked for again, and a
device that never had any is enrolled (docs/protocol.md, section 9), where the configuration has a file for that.
"""

import asyncio
import contextlib
import importlib
import logging
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

from bondmate import credentials, enrolment_file, erasing, identity, network
from bondmate.board import gestures, pin_indicator
from bondmate.config import Configuration
from bondmate.core.gesture import Gesture
from bondmate.drivers import pins
from bondmate.drivers.button import Button
from bondmate.enrolling import Enroller
from bondmate.enrolment_file import EnrolmentFile
from bondmate.errors import ConfigurationError, LocalError, RemoteError
from bondmate.faults import Faults
from bondmate.identity import OwnKeys
from bondmate.notify import ServiceManager
from bondmate.running import api_server, claim, live, until_told
from bondmate.supervision import supervise
from bondmate.unarmed import Unarmed
from bondmate.ways import ways_to_enrol

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often the disk is looked at again: a card may be mounted late, and people put files there by hand."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """All that the disk has to give before the gateway is asked."""

    file: EnrolmentFile
    keys: OwnKeys
    configuration: Configuration


class _NotYetError(Exception):
    """Why the device can neither be armed nor enrolled, and what to do next."""

    def __init__(self, text: str, next_step: str) -> None:
        super().__init__(text)
        self.next_step = next_step


class UnarmedRun:
    """One run in this process."""

    def __init__(self, configuration: Configuration, faults: Faults, *, keep_last_good: bool = False) -> None:
        """`keep_last_good`: `configuration` is the one that worked last, and a wipe has to leave it."""
        self.end: threading.Timer | None = None
        """Set when the end has begun: it ends the process, whatever still hangs in it."""
        self.began = False
        """Whether its button was wired."""
        self._configuration = configuration
        self._faults = faults
        self._keep_last_good = keep_last_good
        self._wiped = False
        """In this run: so what it says begins with that."""
        self._manager = ServiceManager()

    async def serve(self) -> bool:
        """Run until the credentials can be read: True; or until SIGTERM or SIGINT: False. Raises what ended it else."""
        return await until_told(self._run, self._ending)

    def _ending(self, end: threading.Timer) -> None:
        self.end = end

    async def _run(self, stack: contextlib.AsyncExitStack) -> None:
        configuration, gpio = self._configuration, self._configuration.gpio
        claim(configuration.device.state_dir, stack)
        factory = pins.open_factory(gpio.factory, gpio.chip)
        stack.callback(factory.close)
        indicator = pin_indicator(factory, configuration)
        stack.callback(indicator.close)
        unarmed = Unarmed(configuration.panic.hold_s, _calling(configuration), indicator, self._faults)
        button = Button(factory, gpio.button_pin, partial(unarmed.on_edge, 0))
        stack.callback(button.close)
        if gpio.second_button_pin is not None:
            try:
                second = Button(factory, gpio.second_button_pin, partial(unarmed.on_edge, 1), what="the second button")
                stack.callback(second.close)
            except LocalError as error:
                self._faults.report("inputs", str(error), "look at [gpio] in the configuration", None)
        unarmed.report("the credentials are being looked for", "wait: it goes on by itself")

        def text() -> str:
            return f"not armed: {unarmed.why}"

        async def serve_api() -> None:
            server = await api_server()
            await server.serve_unarmed(
                unarmed, configuration.device.runtime_dir, configuration, configuration.api.console_user
            )

        async with asyncio.TaskGroup() as group:
            meanwhile = [
                group.create_task(unarmed.run()),
                group.create_task(live(button, self._manager, text)),
                group.create_task(supervise("api", serve_api, self._faults)),
            ]
            self.began = True
            # ready, though not armed: whoever waits for that would end the process, and with it what the palm says
            self._manager.ready(text())
            await self._until_armable(unarmed, factory)
            for task in meanwhile:
                task.cancel()
        log.info("the credentials are there: going on armed")

    async def _until_armable(self, unarmed: Unarmed, factory: Any) -> None:
        """Look for credentials again and again, and come to some; returns when they can be read."""
        while True:
            try:
                await self._wipe(unarmed)
                ready = await asyncio.to_thread(_look, self._configuration)
                if ready is None:
                    return
                unarmed.device = ready.file.device
                await self._enrol(unarmed, ready, factory)
                continue
            except _NotYetError as error:
                text = f"wiped: enrol it anew ({error})" if self._wiped else str(error)
                unarmed.report(text, error.next_step)
            except LocalError as error:
                unarmed.report(f"not enrolled yet: {error}", "bondmated --check shows what is wrong")
            except Exception as error:
                # whatever is wrong with it, the button lives, and says so
                log.exception("enrolling failed")
                text = f"not enrolled yet: enrolling failed: {str(error) or type(error).__name__}"
                unarmed.report(text, "it is tried again by itself; see the log")
            await asyncio.sleep(LOOK_S)

    async def _wipe(self, unarmed: Unarmed) -> None:
        """Go on with a wipe, where one was begun. Raises _NotYetError where the disk does not do it."""
        device = self._configuration.device
        if not await asyncio.to_thread(erasing.is_marked, device.credentials_dir):
            return
        unarmed.report("being wiped: all that it stored is being erased", "wait: it goes on by itself")
        try:
            await asyncio.to_thread(
                erasing.finish, device.credentials_dir, device.state_dir, last_good=not self._keep_last_good
            )
        except OSError as error:
            raise _NotYetError(
                f"being wiped: {error.filename or device.state_dir} cannot be erased: {_words(error)}",
                "it is tried again by itself; if that does not help, destroy the card",
            ) from None
        self._wiped = True

    async def _enrol(self, unarmed: Unarmed, ready: _Ready, factory: Any) -> None:
        """Returns when the device is enrolled. Raises LocalError for a pin that cannot be had."""
        edhoc = await asyncio.to_thread(importlib.import_module, "bondmate.edhoc")
        file = ready.file
        ways = ways_to_enrol(ready.configuration, file.channel, file.gateway.places, factory)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(ways.close)
            unarmed.bearers, unarmed.modem = ways.bearers, ways.modem
            stack.callback(_let_go, unarmed)
            if ways.modem is not None:
                modem = asyncio.ensure_future(supervise("modem-driver", ways.modem.run, self._faults))
                stack.push_async_callback(_ended, modem)
            directory = self._configuration.device.credentials_dir
            await Enroller(file, ready.keys, ways.over_coap, edhoc.Initiator, directory, unarmed.report).run()


def _let_go(unarmed: Unarmed) -> None:
    unarmed.bearers, unarmed.modem = (), None


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _calling(configuration: Configuration) -> list[frozenset[Gesture]]:
    return [frozenset(meant) for meant in gestures(configuration)]


def _look(configuration: Configuration) -> _Ready | None:
    """What to be enrolled with; None: the credentials can be read. Blocks. Raises _NotYetError."""
    directory = configuration.device.credentials_dir
    try:
        credentials.load(directory)
    except credentials.NoCredentialsError as error:
        if not directory.is_dir():
            raise _NotYetError(
                f"{directory} is not there: the disk with the credentials is not mounted, or was never set up",
                "restart the device; if that does not help, hand it in",
            ) from None
        return _prepare(configuration, str(error))
    except ConfigurationError as error:
        raise _NotYetError(
            f"the credentials cannot be used: {error}", "hand the device in; a technician wipes it and enrols it anew"
        ) from None
    return None


def _prepare(configuration: Configuration, missing: str) -> _Ready:
    """Believe the enrolment file, and have keys. Raises _NotYetError."""
    directory, section = configuration.device.credentials_dir, configuration.enrolment
    if section.file is None or section.force_key is None:
        raise _NotYetError(f"no credentials: {missing}", "the device goes on by itself when the file is there")
    try:
        file = enrolment_file.load(section.file, enrolment_file.load_force_key(section.force_key))
    except FileNotFoundError:
        raise _NotYetError(
            f"not enrolled yet: no enrolment file on the boot partition ({section.file})",
            "have the gateway make one, and put it there",
        ) from None
    except (OSError, LocalError, RemoteError) as error:
        raise _NotYetError(
            f"not enrolled yet: the enrolment file {section.file} cannot be used: {_words(error)}",
            "have the gateway of this force make another one, and put it there",
        ) from None
    try:
        keys = identity.prepare(directory, file)
        applied = network.applied(configuration, directory)
    except (OSError, LocalError) as error:
        raise _NotYetError(
            f"not enrolled yet: the keys cannot be kept in {directory}: {_words(error)}",
            "see that it can be written; it goes on by itself",
        ) from None
    return _Ready(file, keys, applied)


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
