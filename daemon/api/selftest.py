"""The self-test, over the API: begin one, and look at the last. Not for the console: a technician begins it."""

from aiohttp import web

from bondmate.api.requests import json_body
from bondmate.device import Device


class SelfTests:
    """The handlers."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.routes = (
            web.get("/selftest", self.show, allow_head=False),
            web.post("/selftest", self.begin),
        )

    async def show(self, _request: web.Request) -> web.Response:
        """The last one, as far as it is, or null."""
        return web.json_response(self._device.selftest.to_json())

    async def begin(self, request: web.Request) -> web.Response:
        """Begin one, in the place of any that is under way. 409 while an alert is open."""
        await json_body(request)
        self._device.selftest.begin()
        return web.json_response(self._device.selftest.to_json(), status=201)
