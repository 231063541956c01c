"""How the device is, over the API: the status, the queue, the receiver, the ways to the gateway, the configuration.

Reads the device and holds no state of its own.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from bondmate import __version__, privacy
from bondmate.api.alerts import ENDED, newest
from bondmate.api.officer import on_off, shift_ends_ms
from bondmate.config import Configuration
from bondmate.core.delivery import PRIORITY, Waiting
from bondmate.device import Device
from bondmate.ports import NOTHING_SENT, Bearer, ModemState, ReceiverState
from bondmate.records import Stream, utc_text

_OVER_MODEM = ("lte", "sms")


class Views:
    """The handlers, over one device."""

    def __init__(self, device: Device, configuration: Configuration | None) -> None:
        self._device = device
        self._configuration = shown(configuration)
        self.routes = tuple(
            web.get(path, handler, allow_head=False)
            for path, handler in (
                ("/status", self.status),
                ("/queue", self.queue),
                ("/gnss", self.gnss),
                ("/bearers", self.bearers),
                ("/privacy", self.privacy),
                ("/config", self.config),
            )
        )

    def status_json(self, now: float) -> dict[str, Any]:
        """As in `bondmatectl status --json`."""
        device, parts = self._device, self._device.parts
        clock, fix, faults, alert = device.utc(now), device.fix, parts.faults, newest(device)
        if alert is not None and alert["state"] in ENDED:
            alert = None
        if device.condition.is_whole:
            state = "armed" if alert is None else "alert"
        else:
            state = "degraded"
        return {
            "device": str(parts.recorder.device),
            "version": __version__,
            "uptime_s": round(now - device.started_s, 3),
            "state": state,
            "duty": on_off(device.duty.is_on),
            "exercise": device.exercise_active,
            "alert": alert,
            "checkin": device.check_in.to_json(now),
            "countdown": device.countdown_json(now),
            "inbox": {"unread": device.mailbox.unread},
            "covert": device.settings.covert,
            "fix": None if fix is None else fix.to_json(now),
            "queue": {stream.label: count for stream, count in device.waiting().items()},
            "bearers": self._bearers(now),
            "battery": device.senses.battery_json(),
            "session": str(parts.recorder.session),
            "store": {"ok": "store" not in faults},
            "clock": {
                "source": clock and clock.source.label,
                "uncertainty_ms": clock and clock.uncertainty_ms,
            },
            "faults": faults.to_json(),
        }

    async def status(self, _request: web.Request) -> web.Response:
        """How the device is."""
        return web.json_response(self.status_json(_now()))

    async def queue(self, _request: web.Request) -> web.Response:
        """The records that have no receipt yet, the most urgent first; last, a row for those that are not in memory."""
        rows = [_waiting(waiting) for waiting in self._device.parts.delivery.snapshot(_now())]
        rows += [_backlog(stream, count) for stream, count in self._device.backlog().items() if count]
        return web.json_response(rows)

    async def gnss(self, _request: web.Request) -> web.Response:
        """How the receiver is, and what it sees of the sky."""
        now, fix = _now(), self._device.fix
        return web.json_response(
            _receiver(self._device.parts.locator.state())
            | {"at_s": round(now, 3), "fix": None if fix is None else fix.to_json(now)}
        )

    async def bearers(self, _request: web.Request) -> web.Response:
        """The ways to the gateway, and the modem that carries some of them."""
        parts = self._device.parts
        modem = None if parts.modem is None else _modem(parts.modem.state())
        return web.json_response({"bearers": self._bearers(_now()), "modem": modem})

    async def privacy(self, _request: web.Request) -> web.Response:
        """What is being collected right now, why, how precisely and until when."""
        device = self._device
        situation = privacy.Situation(
            on_duty=device.duty.is_on,
            alert_open=device.alert_open,
            shift_ends_ms=shift_ends_ms(device),
            is_dated=device.utc(_now()) is not None and device.duty.is_certain,
            fix_known=device.fix is not None,
            policy=device.parts.tracking,
            keep_delivered_s=device.parts.keep_delivered_s,
            waiting={stream.label: count for stream, count in device.waiting().items()},
        )
        return web.json_response(privacy.report(situation))

    async def config(self, _request: web.Request) -> web.Response:
        """The configuration in use. It has no secrets: those are in files that it names."""
        return web.json_response(self._configuration)

    def _bearers(self, now: float) -> list[dict[str, Any]]:
        parts = self._device.parts
        modem = None if parts.modem is None else parts.modem.state()
        return [bearer_json(bearer, modem, now) for bearer in parts.bearers]


def _now() -> float:
    return asyncio.get_running_loop().time()


def shown(configuration: Configuration | None) -> Any:
    """The configuration in JSON's types."""
    return None if configuration is None else _plain(asdict(configuration))


def _plain(value: Any) -> Any:
    """The same in JSON's types."""
    match value:
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in value]
        case Path() | dt.date():
            return str(value)
        case _:
            return value


def _receiver(state: ReceiverState) -> dict[str, Any]:
    return {
        "awake": state.awake,
        "port": state.port,
        "speed_baud": state.speed_baud,
        "receiver": state.identity,
        "antenna": state.antenna,
        "why_not": list(state.why_not),
        "satellites": [
            {
                "system": satellite.id.system,
                "number": satellite.id.number,
                "signal": satellite.signal or None,
                "elevation_deg": satellite.elevation_deg,
                "azimuth_deg": satellite.azimuth_deg,
                "cn0_dbhz": satellite.cn0_dbhz,
                "used": used,
            }
            for satellite, used in state.satellites
        ],
        "sentences": dict(state.sentences),
        "rejected": dict(state.rejected),
        "octets": state.octets,
        "noise_octets": state.noise_octets,
    }


def _waiting(waiting: Waiting) -> dict[str, Any]:
    record = waiting.record
    return {
        "record": str(record.id),
        "kind": record.kind.label,
        "priority": waiting.priority,
        "state": "in_flight" if waiting.in_flight else "stored" if waiting.stored else "in_memory",
        "stored_at": utc_text(None if waiting.stored is None else waiting.stored.utc_ms),
        "attempts": waiting.attempts,
        "next_try_s": None if waiting.next_try_s is None else round(waiting.next_try_s, 3),
        "bearer": waiting.bearer,
        "why": waiting.why,
    }


def _backlog(stream: Stream, count: int) -> dict[str, Any]:
    return {
        "record": None,
        "kind": None,
        "stream": stream.label,
        "count": count,
        "priority": PRIORITY[stream],
        "state": "stored",
        "stored_at": None,
        "attempts": 0,
        "next_try_s": None,
        "bearer": None,
        "why": f"waits in the store until newer records of the stream {stream.label} are delivered",
    }


def bearer_json(bearer: Bearer, modem: ModemState | None, now: float) -> dict[str, Any]:
    """What is over a modem works where that does, as long as nothing else is known."""
    why_not, last_s = bearer.why_not, bearer.last_success_s
    if modem is not None and bearer.name in _OVER_MODEM:
        why_not = modem.why_not or (None if why_not == NOTHING_SENT else why_not)
    return {
        "name": bearer.name,
        "up": why_not is None,
        "last_success_s": None if last_s is None else round(now - last_s, 3),
        "why_not": why_not,
    }


def _modem(state: ModemState) -> dict[str, Any]:
    """What may be shown of a modem: whoever may read this may also read the labels on it."""
    return asdict(state) | {"troubles": dict(state.troubles)}
