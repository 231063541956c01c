"""What the officer sets, over the API: duty, the check-in, the settings."""

import asyncio
from typing import Any

from aiohttp import web

from bondmate.api.requests import PinGate, RefusalError, choice_of, json_body, number_of, text_of
from bondmate.core.check_in import NOTE_OCTETS
from bondmate.device import Device
from bondmate.records import utc_text
from bondmate.settings import LANGUAGES

MAX_CHECK_IN_S = 86_400
"""docs/bondmate.cddl, check-in-body."""


class Officer:
    """The handlers."""

    def __init__(self, device: Device, gate: PinGate) -> None:
        self._device = device
        self._gate = gate
        self.routes = (
            web.get("/duty", self.show_duty, allow_head=False),
            web.post("/duty", self.set_duty),
            web.get("/checkin", self.show_check_in, allow_head=False),
            web.post("/checkin", self.set_check_in),
            web.get("/settings", self.show_settings, allow_head=False),
            web.put("/settings", self.set_settings),
        )

    async def show_duty(self, _request: web.Request) -> web.Response:
        """Whether the officer is on duty, and until when."""
        return web.json_response(duty_json(self._device))

    async def set_duty(self, request: web.Request) -> web.Response:
        """Begin a shift, or begin it anew (`{"duty": "on"}`), or end it (`{"duty": "off"}`)."""
        body = await json_body(request)
        wanted = choice_of(body, "duty", ("on", "off"))
        await self._gate.how(request, body)
        stored = await self._device.set_duty(wanted == "on")
        return web.json_response(duty_json(self._device) | {"stored": stored})

    async def show_check_in(self, _request: web.Request) -> web.Response:
        """The check-in that is under way, or null."""
        return self._check_in()

    async def set_check_in(self, request: web.Request) -> web.Response:
        """Begin one, extend it, or end it."""
        body = await json_body(request)
        check_in = self._device.check_in
        match choice_of(body, "action", ("begin", "extend", "end")):
            case "begin":
                seconds = number_of(body, "seconds", 1, MAX_CHECK_IN_S)
                check_in.begin(seconds, text_of(body, "note", 0, NOTE_OCTETS))
            case "extend":
                check_in.extend(number_of(body, "seconds", 1, MAX_CHECK_IN_S))
            case _:
                check_in.end()
        stored = await check_in.keep(self._device.parts.store_deadline_s)
        return self._check_in(stored=stored)

    async def show_settings(self, _request: web.Request) -> web.Response:
        """What the officer chose."""
        return self._settings()

    async def set_settings(self, request: web.Request) -> web.Response:
        """Choose what is in the body."""
        body = await json_body(request)
        if not body.keys() & {"language", "covert"}:
            raise RefusalError(400, "there is nothing to change: language or covert")
        language = choice_of(body, "language", LANGUAGES) if "language" in body else None
        covert = body.get("covert")
        if "covert" in body and not isinstance(covert, bool):
            raise RefusalError(400, "covert is true or false")
        await self._gate.how(request, body)
        await self._device.change_settings(language=language, covert=covert)
        return self._settings()

    def _check_in(self, **more: bool) -> web.Response:
        shown = self._device.check_in.to_json(asyncio.get_running_loop().time())
        return web.json_response({"checkin": shown} | more)

    def _settings(self) -> web.Response:
        settings = self._device.settings
        return web.json_response(
            {"language": settings.language, "covert": settings.covert, "languages": list(LANGUAGES)}
        )


def duty_json(device: Device) -> dict[str, Any]:
    """As in `bondmatectl duty --json`."""
    return {
        "duty": on_off(device.duty.is_on),
        "ends_at": utc_text(shift_ends_ms(device)),
        "alert_open": device.alert_open,
    }


def shift_ends_ms(device: Device) -> int | None:
    """UTC when the shift ends by itself, where both are known."""
    now, ends_s = asyncio.get_running_loop().time(), device.duty.ends_s()
    clock = device.utc(now)
    return None if ends_s is None or clock is None else clock.unix_ms + round((ends_s - now) * 1000)


def on_off(on: bool) -> str:
    """As it is written everywhere."""
    return "on" if on else "off"
