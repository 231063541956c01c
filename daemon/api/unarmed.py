"""How a device that is not armed is, over the API: the status with why, live too; everything else is refused with it.

Reads the device and holds no state of its own.
"""

import asyncio
from typing import Any, NoReturn

from aiohttp import web

from bondmate import __version__
from bondmate.api.authority import CONSOLE_MAY
from bondmate.api.events import event
from bondmate.api.requests import RefusalError
from bondmate.api.views import bearer_json, shown
from bondmate.config import Configuration
from bondmate.records import Stream
from bondmate.unarmed import Unarmed

_SHOWN = (("GET", "/status"), ("GET", "/config"), ("GET", "/events"), ("GET", "/update"))


class UnarmedViews:
    """The handlers, and what streams show (see events.Painter)."""

    def __init__(self, unarmed: Unarmed, configuration: Configuration | None) -> None:
        self.changes = unarmed.changes
        self._unarmed = unarmed
        self._configuration = shown(configuration)
        self.routes = (
            web.get("/status", self.get_status, allow_head=False),
            web.get("/config", self.get_config, allow_head=False),
            web.get("/update", self.get_update, allow_head=False),
            # what a device that is armed answers; the table has all of it
            *(web.route(method, path, self._refuse) for method, path in CONSOLE_MAY if (method, path) not in _SHOWN),
        )

    def status_json(self, now: float) -> dict[str, Any]:
        """As of a device that is armed; what that one knows and this one does not is null."""
        unarmed = self._unarmed
        modem = None if unarmed.modem is None else unarmed.modem.state()
        of_modem = () if unarmed.modem is None else unarmed.modem.faults()
        return {
            "device": None if unarmed.device is None else str(unarmed.device),
            "version": __version__,
            "uptime_s": round(now - unarmed.started_s, 3),
            "state": "not_armed",
            "duty": "off",
            "exercise": False,
            "alert": None,
            "checkin": None,
            "countdown": None,
            "inbox": {"unread": 0},
            "covert": unarmed.covert,
            "fix": None,
            "queue": {stream.label: 0 for stream in Stream},
            "bearers": [bearer_json(bearer, modem, now) for bearer in unarmed.bearers],
            "battery": None,
            "session": None,
            "store": {"ok": None},
            "clock": {"source": None, "uncertainty_ms": None},
            "faults": [
                *unarmed.faults.to_json(),
                *({"code": each.code, "since": None, "text": each.text, "next": each.next} for each in of_modem),
            ],
        }

    def status(self, now: float) -> bytes:
        """The event `status`."""
        return event("status", self.status_json(now))

    async def inbox(self, _now: float) -> bytes:
        """The event `inbox`: there is none."""
        return event("inbox", [])

    async def get_status(self, _request: web.Request) -> web.Response:
        """How the device is."""
        return web.json_response(self.status_json(asyncio.get_running_loop().time()))

    async def get_config(self, _request: web.Request) -> web.Response:
        """The configuration in use."""
        return web.json_response(self._configuration)

    async def get_update(self, _request: web.Request) -> web.Response:
        """No update may begin; and a software under which the device is not armed does not prove good."""
        why = f"the device is not armed: {self._unarmed.why}"
        no = {"fetch": False, "install": False, "restart": False}
        return web.json_response(
            {"wanted": None, "may": no, "why_not": why, "alert_open": False, "unwell": why, "reached": False}
        )

    async def _refuse(self, _request: web.Request) -> NoReturn:
        raise RefusalError(503, f"the device is not armed: {self._unarmed.why}")
