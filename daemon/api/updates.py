"""What bondmate-updater asks and answers, over the API; see docs/updates.md."""

from typing import Any

from aiohttp import web

from bondmate.api.requests import RefusalError, json_body, number_of, text_of
from bondmate.device import Device
from bondmate.mail import MAX_ANSWER_OCTETS

_MAX_NUMBER = 0xFFFFFFFF


class UpdateViews:
    """The handlers."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.routes = (web.get("/update", self.show, allow_head=False), web.post("/update", self.came_of))

    async def show(self, _request: web.Request) -> web.Response:
        """What is wanted, what may be done of it now, and how the device is."""
        await self._device.updates.settle()
        return self._shown()

    async def came_of(self, request: web.Request) -> web.Response:
        """What became of an order, or that it is being carried out."""
        body = await json_body(request)
        number, done = number_of(body, "number", 1, _MAX_NUMBER), body.get("done", "missing")
        text = text_of(body, "text", 1, MAX_ANSWER_OCTETS)
        match done:
            case bool():
                await self._device.updates.came_of(number, done=done, text=text)
            case None:
                await self._device.updates.begin(number)
            case _:
                raise RefusalError(400, "done is true or false; null: it is being carried out")
        return self._shown()

    def _shown(self) -> web.Response:
        device = self._device
        permission, wanted = device.updates.permission(), device.updates.wanted
        shown: dict[str, Any] | None = None
        if wanted is not None:
            order, update = wanted
            shown = {
                "number": order.number,
                "software": update.software,
                "url": update.url,
                "octets": update.octets,
                "sha256": update.sha256.hex(),
                "at_once": update.at_once,
            }
        return web.json_response(
            {
                "wanted": shown,
                "may": {
                    "fetch": permission.fetch is None,
                    "install": permission.install is None,
                    "restart": permission.restart is None,
                },
                "why_not": permission.why_not,
                "alert_open": device.condition.is_urgent,
                "unwell": device.condition.unwell,
                "reached": device.condition.has_reached_gateway,
            }
        )
