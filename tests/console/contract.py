"""A device that is not there: it speaks the local API as docs/api.yaml has it, and is what a test wants it to be.

For layout, words, accessibility and the gate alone. What the page does with the real device, tests/e2e/test_console.py
shows.
"""

import asyncio
import copy
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

PIN = "2468"
AT = "2026-11-20T15:00:0{}.120Z"

STATUS: dict[str, Any] = {
    "device": "BM-7f3a09c1",
    "version": "0.1.0",
    "uptime_s": 12.5,
    "state": "armed",
    "duty": "on",
    "exercise": False,
    "covert": False,
    "alert": None,
    "fix": {
        "time": AT.format(0), "lat": 38.722252, "lon": -9.139337, "alt_m": 12.3, "speed_mps": 0.4, "track_deg": 181.2,
        "mode": 3, "hdop": 0.9, "accuracy_m": 3.1, "satellites": 11, "age_s": 0.4, "source": "gnss", "suspect": [],
    },
    "queue": {"alert": 0, "state": 0, "position": 0, "presence": 0, "health": 0, "report": 0},
    "bearers": [
        {"name": "ip", "up": True, "last_success_s": 3.2, "why_not": None},
        {"name": "sms", "up": False, "last_success_s": None, "why_not": "nothing sent yet"},
    ],
    "battery": {"percent": 87, "charging": False},
    "checkin": None,
    "countdown": None,
    "inbox": {"unread": 0},
    "session": "0012-5be2aa10",
    "store": {"ok": True},
    "clock": {"source": "gnss", "uncertainty_ms": 12},
    "faults": [],
}  # fmt: skip
ALERT: dict[str, Any] = {
    "alert_id": "BM-7f3a09c1/0012-5be2aa10/alert/1", "kind": "panic", "state": "delivered", "raised_at": AT.format(1),
    "stored_at": AT.format(1), "delivered_at": AT.format(2), "acknowledged_at": None, "closed_at": None,
    "exercise": False, "escalates": None, "cancellable_in_s": None, "resumed": False, "acknowledged_by": None,
    "stored_after_ms": 9.1, "delivered_after_ms": 350.2,
}  # fmt: skip
ACKNOWLEDGED = ALERT | {"state": "acknowledged", "acknowledged_at": AT.format(9), "acknowledged_by": "Rita Faria"}
MESSAGE: dict[str, Any] = {
    "number": 1, "type": "message", "text": "The market square is closed from 16:00 on. Go round by the school.",
    "by": "Rita Faria", "sent_at": AT.format(0), "urgent": False, "replies": ["Understood", "I need help"],
    "state": "taken", "answer": None, "place": None, "kind": None, "distance_m": None, "bearing_deg": None,
    "expires_at": None,
}  # fmt: skip
ASSISTANCE = MESSAGE | {
    "number": 3, "type": "assistance", "urgent": True, "text": "Colleague in trouble at the fountain, two men.",
    "replies": ["On my way", "I cannot come"], "kind": "panic", "distance_m": 423.0, "bearing_deg": 47.0,
    "place": {"lat": 38.72481, "lon": -9.13581, "radius_m": 12},
}  # fmt: skip
INBOX = [
    ASSISTANCE,
    MESSAGE
    | {
        "number": 2, "type": "alert", "text": "Missing child, seven years old, red jacket, last seen near the park.",
        "state": "read", "place": {"lat": 38.7, "lon": -9.14, "radius_m": 1500}, "distance_m": 2480.0,
        "bearing_deg": 180.0, "expires_at": "2099-11-20T18:00:00.000Z",
    },
    MESSAGE | {"state": "answered", "answer": "Understood"},
]  # fmt: skip
PRIVACY: dict[str, Any] = {
    "duty": "on",
    "alert_open": False,
    "collected": [
        {
            "what": "presence", "text": "roughly where you are, every 300 s",
            "why": "you are on duty: the control room has to know who is near", "precision_m": 729,
            "precision": "a cell of 729 m from north to south, and at most that from east to west", "every_s": 300.0,
            "until": "2026-11-21T05:00:00.120Z", "until_text": "you go off duty, at the latest then",
        }
    ],
    "if_pressed": "A press sends at once where you are.",
    "waiting": {"alert": 0, "position": 2, "presence": 1},
    "kept": "Positions and presences are erased within ten minutes of the gateway's receipt.",
}  # fmt: skip
FAULTS = [
    {"code": "gnss-antenna", "since": None, "text": "the antenna is open", "next": "check the antenna and its cable"},
    {"code": "of-tomorrow", "since": None, "text": "something new", "next": "read the manual"},
]


class Pretended:
    """The device: what it shows, and what it was asked."""

    def __init__(self) -> None:
        self.status = copy.deepcopy(STATUS)
        self.inbox: list[dict[str, Any]] = []
        self.privacy = copy.deepcopy(PRIVACY)
        self.settings: dict[str, Any] = {"language": "en", "covert": False, "languages": ["en", "pt", "el"]}
        self.calls: list[dict[str, Any]] = []
        """Every write: method, path, key, body."""
        self.fail: list[int] = []
        """Statuses that the next writes are answered with, after they were done."""
        self.wrong = 0
        self._answers: dict[str, web.Response] = {}
        self._news: set[asyncio.Event] = set()
        self._ending = False
        self.app = web.Application(middlewares=[self._record])
        self.app.on_shutdown.append(self._end_streams)
        self.app.add_routes(
            [
                *(
                    web.get(path, self._show)
                    for path in ("/status", "/inbox", "/privacy", "/checkin", "/settings", "/queue")
                ),
                web.get("/events", self._events),
                web.put("/settings", self._change),
                web.post("/alert", self._raise),
                web.post("/alert/cancel", self._cancel),
                web.post("/duty", self._duty),
                web.post("/checkin", self._checkin),
                web.post("/inbox/{number}/read", self._read),
                web.post("/inbox/{number}/answer", self._answer),
                web.post("/test", self._become),
                web.get("/test", self._show),
            ]
        )

    def tell(self) -> None:
        """Let every stream show what is now."""
        self.status["inbox"]["unread"] = sum(message["state"] == "taken" for message in self.inbox)
        for news in self._news:
            news.set()

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "/status": self.status,
                "/inbox": self.inbox,
                "/privacy": self.privacy,
                "/checkin": {"checkin": self.status["checkin"]},
                "/settings": self.settings,
                "/queue": [],
                "/test": self.calls,
            }[request.path]
        )

    @web.middleware
    async def _record(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "GET" or request.path == "/test":
            return await handler(request)  # type: ignore[no-any-return]
        key = request.headers.get("Idempotency-Key")
        body = await request.json() if request.can_read_body else None
        self.calls.append({"method": request.method, "path": request.path, "key": key, "body": body})
        known = self._answers.get(f"{request.path} {key}")
        answer = known.body if known is not None else None
        status = known.status if known is not None else 0
        if known is None:
            done = await handler(request)
            answer, status = done.body, done.status
            if key is not None:
                self._answers[f"{request.path} {key}"] = done
            self.tell()
        if self.fail:
            return web.json_response({"error": "lost"}, status=self.fail.pop(0))
        return web.Response(body=answer, status=status, content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        news = asyncio.Event()
        self._news.add(news)
        try:
            while not self._ending:
                news.clear()
                for name, content in (("status", self.status), ("inbox", self.inbox)):
                    await response.write(f"event: {name}\ndata: {json.dumps(content)}\n\n".encode())
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), 5)
        except ConnectionError:
            pass
        finally:
            self._news.discard(news)
        return response

    async def _end_streams(self, _app: web.Application) -> None:
        self._ending = True
        self.tell()

    async def _become(self, request: web.Request) -> web.Response:
        """`{"status": {…}, "inbox": […], …}`: what is named changes."""
        for name, content in (await request.json()).items():
            if isinstance(content, dict):
                getattr(self, name).update(content)
            else:
                setattr(self, name, content)
        self.tell()
        return web.json_response({})

    def _pin(self, body: dict[str, Any]) -> web.Response | None:
        given = body.get("pin")
        if given is None:
            return web.json_response({"error": "the officer's PIN is needed", "pin_needed": True}, status=403)
        if self.wrong >= 5:
            return web.json_response({"error": "no PIN is looked at", "tries_left": 0, "locked_s": 60.0}, status=403)
        if given == PIN:
            self.wrong = 0
            return None
        self.wrong += 1
        locked_s = 60.0 if self.wrong >= 5 else 0.0
        refusal = {"error": "the PIN is wrong", "tries_left": 5 - self.wrong, "locked_s": locked_s}
        return web.json_response(refusal, status=403)

    async def _raise(self, _request: web.Request) -> web.Response:
        again = {"kind": "escalation", "escalates": ALERT["alert_id"]} if self.status["alert"] else {}
        self.status.update(state="alert", alert=ALERT | {"state": "stored", "delivered_at": None} | again)
        return web.json_response(self.status["alert"], status=201)

    async def _cancel(self, request: web.Request) -> web.Response:
        if self.status["alert"] is None:
            return web.json_response({"error": "no alert is open: there is nothing to cancel"}, status=409)
        body = await request.json()
        if body.get("alert_id", self.status["alert"]["alert_id"]) != self.status["alert"]["alert_id"]:
            return web.json_response({"error": "this is not the newest alert"}, status=409)
        if (refusal := self._pin(body)) is not None:
            return refusal
        cancelled = self.status["alert"] | {"state": "cancelled"}
        self.status.update(state="armed", alert=None)
        return web.json_response(cancelled)

    async def _duty(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (refusal := self._pin(body)) is not None:
            return refusal
        self.status["duty"] = body["duty"]
        return web.json_response({"duty": body["duty"], "ends_at": None, "alert_open": False, "stored": True})

    async def _change(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "covert" in body and (refusal := self._pin(body)) is not None:
            return refusal
        self.settings.update({name: body[name] for name in ("language", "covert") if name in body})
        self.status["covert"] = self.settings["covert"]
        return web.json_response(self.settings)

    async def _checkin(self, request: web.Request) -> web.Response:
        body, running = await request.json(), self.status["checkin"]
        match body["action"]:
            case "begin":
                running = {
                    "due_at": "2026-11-20T15:20:00.000Z",
                    "due_s": body["seconds"],
                    "note": body["note"],
                    "state": "running",
                }
            case "extend":
                running = running | {"due_s": running["due_s"] + body["seconds"], "state": "running"}
            case _:
                running = None
        self.status["checkin"] = running
        return web.json_response({"checkin": running})

    async def _read(self, request: web.Request) -> web.Response:
        return self._changed(request, {"state": "read"})

    async def _answer(self, request: web.Request) -> web.Response:
        return self._changed(request, {"state": "answered", "answer": (await request.json())["text"]})

    def _changed(self, request: web.Request, change: dict[str, Any]) -> web.Response:
        for message in self.inbox:
            if message["number"] == int(request.match_info["number"]):
                message.update(change)
                return web.json_response(message)
        return web.json_response({"error": "there is no such message"}, status=404)


@asynccontextmanager
async def pretended(socket: Path) -> AsyncIterator[Pretended]:
    """Serve one on this socket for as long as the block lasts."""
    device = Pretended()
    runner = web.AppRunner(device.app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.UnixSite(runner, socket).start()
        yield device
    finally:
        await runner.cleanup()


async def _main(socket: Path) -> None:
    async with pretended(socket):
        sys.stdout.write("device\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
