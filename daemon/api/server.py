"""The local HTTP API on a Unix socket: the device's public face, for bondmatectl and the officer's page.

Reads the device and asks it to act; holds no state of its own. The socket's mode decides who may speak.
"""

import asyncio
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bondmate import __version__, privacy
from bondmate.core.delivery import PRIORITY, Waiting
from bondmate.device import Device
from bondmate.errors import LocalError
from bondmate.ports import NOTHING_SENT, Bearer, ModemState, ReceiverState
from bondmate.records import OFFICERS_KINDS, Stream, utc_text

SOCKET_FILE = "api.sock"
MAX_BODY_OCTETS = 4096
_SOCKET_MODE = 0o660
_SHUTDOWN_S = 1.0
"""A client that never finishes its request must not hold up the end of the daemon."""
_OVER_MODEM = ("lte", "sms")
_DEGRADING = ("store", "reserve", "configuration")
"""Faults that touch the way of an alert."""


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Also what aiohttp refuses by itself (no such path, too large) is `{"error": …}`."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return _problem(refusal.status, refusal.text or refusal.reason)


class Api:
    """The handlers, over one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.app = web.Application(client_max_size=MAX_BODY_OCTETS, middlewares=[_errors_as_json])
        self.app.add_routes(
            [
                web.get("/status", self.status),
                web.get("/queue", self.queue),
                web.get("/alert", self.show),
                web.post("/alert", self.raise_alert),
                web.post("/alert/cancel", self.cancel),
                web.get("/duty", self.show_duty),
                web.post("/duty", self.set_duty),
                web.get("/gnss", self.gnss),
                web.get("/bearers", self.bearers),
                web.get("/privacy", self.privacy),
            ]
        )

    async def status(self, _request: web.Request) -> web.Response:
        """How the device is."""
        device, parts = self._device, self._device.parts
        now = asyncio.get_running_loop().time()
        clock, fix, faults = device.utc(now), device.fix, parts.faults
        queue = {stream.label: count for stream, count in device.waiting().items()}
        alert = None if device.alert is None or device.alert.cancelled else device.alert.to_json()
        if any(code in faults for code in _DEGRADING):
            state = "degraded"
        else:
            state = "armed" if alert is None else "alert"
        return web.json_response(
            {
                "device": str(parts.recorder.device),
                "version": __version__,
                "uptime_s": round(now - device.started_s, 3),
                "state": state,
                "duty": _on_off(device.duty.is_on),
                "exercise": False,
                "alert": alert,
                "fix": None if fix is None else fix.to_json(now),
                "queue": queue,
                "bearers": self._bearers(now),
                "battery": None,
                "session": str(parts.recorder.session),
                "store": {"ok": "store" not in faults},
                "clock": {
                    "source": clock and clock.source.label,
                    "uncertainty_ms": clock and clock.uncertainty_ms,
                },
                "faults": faults.to_json(),
            }
        )

    async def queue(self, _request: web.Request) -> web.Response:
        """The records that have no receipt yet, the most urgent first; last, a row for those that are not in memory."""
        now = asyncio.get_running_loop().time()
        rows = [_waiting(waiting) for waiting in self._device.parts.delivery.snapshot(now)]
        rows += [_backlog(stream, count) for stream, count in self._device.backlog().items() if count]
        return web.json_response(rows)

    async def show(self, _request: web.Request) -> web.Response:
        """The newest alert, or null."""
        alert = self._device.alert
        return web.json_response(alert and alert.to_json())

    async def raise_alert(self, request: web.Request) -> web.Response:
        """Raise an alert of the kind in the body (`{"kind": "panic"}`, or no body)."""
        body = await _json_body(request)
        wanted = body.get("kind", "panic")
        kind = next((kind for kind in OFFICERS_KINDS if kind.label == wanted), None)
        if kind is None:
            known = ", ".join(sorted(kind.label for kind in OFFICERS_KINDS))
            return _problem(400, f"no kind of alert is called {wanted!r}; there are {known}")
        return web.json_response(self._device.raise_alert(kind).to_json(), status=201)

    async def cancel(self, _request: web.Request) -> web.Response:
        """Take the open alert back."""
        try:
            return web.json_response(self._device.cancel_alert().to_json())
        except LocalError as error:
            return _problem(409, str(error))

    async def show_duty(self, _request: web.Request) -> web.Response:
        """Whether the officer is on duty, and until when."""
        return web.json_response(self._duty_json())

    async def set_duty(self, request: web.Request) -> web.Response:
        """Begin a shift, or begin it anew (`{"duty": "on"}`), or end it (`{"duty": "off"}`)."""
        wanted = (await _json_body(request)).get("duty")
        if wanted not in ("on", "off"):
            return _problem(400, f'duty is "on" or "off", not {wanted!r}')
        stored = await self._device.set_duty(wanted == "on")
        return web.json_response(self._duty_json() | {"stored": stored})

    async def gnss(self, _request: web.Request) -> web.Response:
        """How the receiver is, and what it sees of the sky."""
        now = asyncio.get_running_loop().time()
        fix = self._device.fix
        return web.json_response(
            _receiver(self._device.parts.locator.state())
            | {"at_s": round(now, 3), "fix": None if fix is None else fix.to_json(now)}
        )

    async def bearers(self, _request: web.Request) -> web.Response:
        """The ways to the gateway, and the modem that carries some of them."""
        now, parts = asyncio.get_running_loop().time(), self._device.parts
        modem = None if parts.modem is None else _modem(parts.modem.state())
        return web.json_response({"bearers": self._bearers(now), "modem": modem})

    async def privacy(self, _request: web.Request) -> web.Response:
        """What is being collected right now, why, how precisely and until when."""
        device = self._device
        situation = privacy.Situation(
            on_duty=device.duty.is_on,
            alert_open=device.alert_open,
            shift_ends_ms=self._shift_ends_ms(),
            is_dated=device.utc(asyncio.get_running_loop().time()) is not None and device.duty.is_certain,
            fix_known=device.fix is not None,
            policy=device.parts.tracking,
            keep_delivered_s=device.parts.keep_delivered_s,
            waiting={stream.label: count for stream, count in device.waiting().items()},
        )
        return web.json_response(privacy.report(situation))

    def _bearers(self, now: float) -> list[dict[str, Any]]:
        parts = self._device.parts
        modem = None if parts.modem is None else parts.modem.state()
        return [_bearer(bearer, modem, now) for bearer in parts.bearers]

    def _duty_json(self) -> dict[str, Any]:
        return {
            "duty": _on_off(self._device.duty.is_on),
            "ends_at": utc_text(self._shift_ends_ms()),
            "alert_open": self._device.alert_open,
        }

    def _shift_ends_ms(self) -> int | None:
        """UTC when the shift ends by itself, where both are known."""
        now, ends_s = asyncio.get_running_loop().time(), self._device.duty.ends_s()
        clock = self._device.utc(now)
        return None if ends_s is None or clock is None else clock.unix_ms + round((ends_s - now) * 1000)


async def serve(device: Device, runtime_dir: Path) -> None:
    """Serve the API on `runtime_dir/api.sock` until cancelled."""
    path = runtime_dir / SOCKET_FILE
    path.unlink(missing_ok=True)
    runner = web.AppRunner(Api(device).app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(str(path))
            # before it listens: until then nobody gets in, whatever the umask
            path.chmod(_SOCKET_MODE)
            await web.SockSite(runner, listener).start()
            await asyncio.get_running_loop().create_future()
        finally:
            await runner.cleanup()
            path.unlink(missing_ok=True)


async def _json_body(request: web.Request) -> dict[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        body = await request.json()
    except (ValueError, LookupError, RecursionError) as error:  # LookupError: a charset that nobody knows
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return body


def _on_off(on: bool) -> str:
    return "on" if on else "off"


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


def _problem(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _bearer(bearer: Bearer, modem: ModemState | None, now: float) -> dict[str, Any]:
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
