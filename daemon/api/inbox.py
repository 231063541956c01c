"""The inbox, over the API: messages and alerts to the officer, and what becomes of them."""

from typing import Any

from aiohttp import web

from bondmate.api.requests import RefusalError, json_body, text_of
from bondmate.device import Device
from bondmate.mail import MAX_ANSWER_OCTETS


class Inbox:
    """The handlers. `acts` counts what was done, so that whoever shows the inbox looks again."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.acts = 0
        self.routes = (
            web.get("/inbox", self.show, allow_head=False),
            web.post("/inbox/{number:[0-9]{1,10}}/read", self.read),
            web.post("/inbox/{number:[0-9]{1,10}}/answer", self.answer),
        )

    async def to_json(self) -> list[dict[str, Any]]:
        """As in `bondmatectl inbox --json`: the newest first. Raises StoreError."""
        return [self._device.message_json(letter) for letter in await self._device.mailbox.messages()]

    async def show(self, _request: web.Request) -> web.Response:
        """The messages, the newest first."""
        return web.json_response(await self.to_json())

    async def read(self, request: web.Request) -> web.Response:
        """The officer has read it."""
        number = (await self._message(request))["number"]
        letter = await self._device.mailbox.read(number)
        self.acts += 1
        return web.json_response(self._device.message_json(letter))

    async def answer(self, request: web.Request) -> web.Response:
        """The officer answers it, with a quick reply or words of their own."""
        text = text_of(await json_body(request), "text", 1, MAX_ANSWER_OCTETS)
        number = (await self._message(request))["number"]
        letter = await self._device.mailbox.answer(number, text)
        self.acts += 1
        return web.json_response(self._device.message_json(letter))

    async def _message(self, request: web.Request) -> dict[str, Any]:
        number = int(request.match_info["number"])
        found = [message for message in await self.to_json() if message["number"] == number]
        if not found:
            raise RefusalError(404, f"there is no message {number}")
        return found[0]
