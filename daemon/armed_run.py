"""A run of bondmated that is armed: the device, made of the adapters that the configuration names.

The only module that knows which adapter stands behind which port.
"""

import asyncio
import contextlib
import importlib
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bondmate import credentials, erasing, identity, network, session
from bondmate.board import gestures, gnss_settings, other_inputs, pin_indicator, time_keeper
from bondmate.config import Configuration
from bondmate.core.delivery import Delivery, DeliveryPolicy
from bondmate.core.gesture import Gesture
from bondmate.core.tracking import TrackingPolicy
from bondmate.device import Device
from bondmate.drivers import pins
from bondmate.drivers.battery import PowerSupply
from bondmate.drivers.button import Button
from bondmate.drivers.gnss import GnssReceiver
from bondmate.drivers.modem import Modem
from bondmate.durable import replace_file
from bondmate.enrolling import KeyExchange
from bondmate.errors import LocalError, StoreError
from bondmate.faults import Faults
from bondmate.notify import ServiceManager
from bondmate.officer_pin import PIN_FILE
from bondmate.parts import KeyChange, Parts
from bondmate.recorder import Recorder
from bondmate.records import History, SessionId
from bondmate.running import LAST_GOOD_FILE, LIVE_S, api_server, claim, live, until_told
from bondmate.store.outbox import SqliteOutbox
from bondmate.supervision import supervise
from bondmate.ways import Ways, ways_to_gateway

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run starts from: a file, what it says, and its text."""

    path: Path
    configuration: Configuration
    text: str


class ArmedRun:
    """One run of the device in this process."""

    def __init__(self, setup: Setup, known: credentials.Credentials, faults: Faults) -> None:
        self.armed = False
        self.end: threading.Timer | None = None
        """Set when the end has begun: it ends the process, whatever still hangs in it."""
        self._setup = setup
        self._known = known
        self._faults = faults
        self._manager = ServiceManager()
        directory = setup.configuration.device.credentials_dir
        open_to_others = credentials.exposed(directory)
        faults.report("credentials", open_to_others, "chmod it to 0600; enrol anew if somebody read it", None)
        self._configuration = setup.configuration
        try:
            self._configuration = network.applied(setup.configuration, directory)
        except LocalError as error:
            text = f"{error}. The networks are those of {setup.path}"
            faults.report("network", text, "hand the device in; a technician enrols it anew", None)

    async def serve(self) -> bool:
        """Run until SIGTERM or SIGINT: False; or until another run has to begin: True. Raises what ended it else."""
        return await until_told(self._run, self._ending)

    def _ending(self, end: threading.Timer) -> None:
        self.end = end

    async def _run(self, stack: contextlib.AsyncExitStack) -> None:
        configuration, known, faults = self._configuration, self._known, self._faults
        loop, deadline_s = asyncio.get_running_loop(), configuration.store.deadline_s
        state_dir = configuration.device.state_dir
        claim(state_dir, stack)
        chores, counter = session.Chores(), session.StartCounter(state_dir)
        stack.push_async_callback(_within, deadline_s, chores.close)
        chores.begin(counter.load)
        await _within(deadline_s, chores.settled)  # else it counts from 0, until the gateway has refused that
        current = counter.draw()
        chores.begin(counter.persist)

        outbox = SqliteOutbox(state_dir, known.device)
        stack.push_async_callback(_within, deadline_s, outbox.close)
        history = await history_of(outbox, current, deadline_s, is_first=counter.is_first)

        factory = pins.open_factory(configuration.gpio.factory, configuration.gpio.chip)
        stack.callback(factory.close)
        gpio = configuration.gpio
        indicator = pin_indicator(factory, configuration)
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
                key_change=_key_change(known, ways, configuration.device.credentials_dir),
                mark_wiping=partial(erasing.mark, configuration.device.credentials_dir, configuration.enrolment.file),
                tracking=TrackingPolicy(
                    alert_interval_s=configuration.tracking.alert_interval_s,
                    presence_interval_s=configuration.tracking.presence_interval_s,
                    presence_bits=configuration.tracking.presence_bits,
                ),
                duty_max_s=configuration.duty.max_h * 3600,
                store_deadline_s=deadline_s,
                keep_delivered_s=configuration.store.keep_delivered_h * 3600,
                system_utc_ms=(lambda: time.time_ns() // 1_000_000) if configuration.clock.source == "system" else None,
                read_credentials=partial(asyncio.to_thread, credentials.load, configuration.device.credentials_dir),
                time_keeper=time_keeper(configuration.clock, stack),
                faults=faults,
            )
        )
        ways.listen(device.take_receipt, device.wake_up, device.reachable)

        async with asyncio.TaskGroup() as group:
            # another run in this process is no end for the service manager
            stack.callback(lambda: None if device.over.is_set() else self._manager.stopping())
            tasks = list[asyncio.Task[None]]()

            def armed() -> None:
                button = Button(factory, gpio.button_pin, partial(device.on_edge, 0))
                stack.callback(button.close)
                for part in other_inputs(factory, gpio, device, faults):
                    stack.callback(part.close)
                tasks.append(group.create_task(live(button, self._manager, partial(_status, device))))
                tasks.append(group.create_task(self._end_enrolment(device, chores)))
                self.armed = True
                self._manager.ready(f"armed, {known.device}, session {current}")
                chores.begin(self._keep_as_last_good)

            tasks.append(group.create_task(device.run(armed)))
            tasks += map(group.create_task, self._supervised(device, receiver, battery, ways.modem))
            await device.over.wait()
            log.info("this run is over: another one begins")
            for task in tasks:
                task.cancel()

    def _supervised(
        self, device: Device, receiver: GnssReceiver, battery: PowerSupply | None, modem: Modem | None
    ) -> list[Coroutine[Any, Any, None]]:
        """What fails alone."""
        configuration, faults = self._configuration, self._faults

        async def serve_api() -> None:
            server = await api_server()
            await server.serve(device, configuration.device.runtime_dir, configuration, configuration.api.console_user)

        parts = [supervise("gnss-driver", lambda: receiver.run(device.on_fix), faults)]
        if battery is not None:
            parts.append(supervise("battery-driver", battery.run, faults))
        if modem is not None:
            parts.append(supervise("modem-driver", modem.run, faults))
        return [*parts, supervise("api", serve_api, faults)]

    async def _end_enrolment(self, device: Device, chores: session.Chores) -> None:
        """Have the gateway hear the keys of a fresh enrolment, then erase what led to them.

        Until it has, the secret of the file is worth something. An enrolled device ignores such a file, and erases it.
        """
        directory, file = self._configuration.device.credentials_dir, self._configuration.enrolment.file
        is_pending: list[bool] = []
        chores.begin(lambda: is_pending.append(identity.is_pending(directory)))
        await chores.settled()
        if is_pending == [True]:
            # off duty nothing else would be sent
            device.mailbox.wake()
            # bearers tell nobody of their successes
            while all(bearer.last_success_s is None for bearer in device.parts.bearers):  # noqa: ASYNC110
                await asyncio.sleep(LIVE_S)

        def forget() -> None:
            try:
                identity.forget(directory, file)
            except OSError as error:
                log.warning("what is left of the enrolment cannot be erased, which harms nothing: %s", error)

        chores.begin(forget)

    def _keep_as_last_good(self) -> None:
        """The device was armed with it, so the next bad file finds it. Blocks; spares the card when nothing changed."""
        path, data = self._setup.configuration.device.state_dir / LAST_GOOD_FILE, self._setup.text.encode()
        try:
            if not path.exists() or path.read_bytes() != data:
                replace_file(path, data)
        except OSError as error:
            log.warning("the configuration could not be kept as the last good one: %s", error)


def _key_change(known: credentials.Credentials, ways: Ways, directory: Path) -> KeyChange | None:
    keys = known.exchange
    if keys is None:
        return None

    async def exchanging() -> Callable[[], KeyExchange]:
        edhoc = await asyncio.to_thread(importlib.import_module, "bondmate.edhoc")
        return partial(edhoc.Initiator, known.device, keys.own, keys.gateway_id, keys.gateway)

    return KeyChange(
        bearers=ways.over_coap,
        exchanging=exchanging,
        keep=partial(identity.rekey, directory),
        made_s=known.made_s,
        order=known.order,
    )


def _status(device: Device) -> str:
    return f"armed, {device.parts.recorder.device}, {sum(device.waiting().values())} records wait for a receipt"


async def _within(deadline_s: float, wait: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(wait(), deadline_s)


async def history_of(outbox: SqliteOutbox, current: SessionId, deadline_s: float, *, is_first: bool) -> History:
    """Where the chains ended, if the store can say so in time; else that it is unknown.

    `is_first`: nothing was ever kept. Making the store takes a slow card long, and then nothing is lost yet.
    """
    try:
        async with asyncio.timeout(deadline_s):
            await outbox.open()
            history = await outbox.history()
    except (StoreError, TimeoutError) as error:
        log.warning("the outbox cannot be read: %s", str(error) or "opening it hangs")
        return History({}) if is_first else History.lost()
    # an earlier run left its opening record, if the store that had it is still there
    return History.lost() if not history.heads and current.counter > 1 else history
