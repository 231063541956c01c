"""The alert, over the API: raise it, take it back, show it."""

import asyncio
from typing import Any

from aiohttp import web

from bondmate.api.requests import PinGate, RefusalError, choice_of, json_body, text_of
from bondmate.device import Device
from bondmate.records import OFFICERS_KINDS, Kind

ENDED = ("cancelled", "closed")
MAX_ID_OCTETS = 64
"""An id has fewer."""
_KINDS = {kind.label: kind for kind in sorted(OFFICERS_KINDS)}


class Alerts:
    """The handlers."""

    def __init__(self, device: Device, gate: PinGate) -> None:
        self._device = device
        self._gate = gate
        self.routes = (
            web.get("/alert", self.show, allow_head=False),
            web.post("/alert", self.raise_alert),
            web.post("/alert/cancel", self.cancel),
        )

    async def show(self, _request: web.Request) -> web.Response:
        """The newest alert, or null."""
        return web.json_response(newest(self._device))

    async def raise_alert(self, request: web.Request) -> web.Response:
        """Raise an alert of the kind in the body (`{"kind": "panic"}`, or no body)."""
        body = await json_body(request)
        kind = _KINDS[choice_of({"kind": Kind.PANIC.label} | body, "kind", tuple(_KINDS))]
        return web.json_response(self._device.raise_alert(kind).to_json(_now()), status=201)

    async def cancel(self, request: web.Request) -> web.Response:
        """Take the open alert back."""
        body, before = await json_body(request), newest(self._device)
        if before is None or before["state"] in ENDED:
            raise RefusalError(409, "no alert is open: there is nothing to cancel")
        if (shown := text_of(body, "alert_id", 0, MAX_ID_OCTETS)) and shown != before["alert_id"]:
            # whoever typed the PIN was looking at another call
            raise RefusalError(409, "there is a newer alert than the one that was shown: look at it first")
        how = await self._gate.how(request, body)
        after = newest(self._device)
        if after is not None and after["alert_id"] != before["alert_id"]:
            # while the PIN was looked at: nobody who typed it knew of that call
            raise RefusalError(409, "the officer called again meanwhile: look at the new alert first")
        return web.json_response(self._device.cancel_alert(how).to_json(_now()))


def newest(device: Device) -> dict[str, Any] | None:
    """The newest alert as JSON, open or not."""
    return None if device.alert is None else device.alert.to_json(_now())


def _now() -> float:
    return asyncio.get_running_loop().time()
