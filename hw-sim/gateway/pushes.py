"""Receipts pushed to a device's `/c` over IP: to where a repeat came from, or to its newest address.

A push is a chance and no promise: the device sends its record again anyway. It knows nothing of SMS.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import aiocoap
from aiocoap import error as coap_error
from aiocoap.numbers.constants import TransportTuning

from bondmate_sim.gateway import oscore, records

PATH = ("c",)
BEARERS = ("ip", "lte")
"""The bearers whose messages come from an address that a push can be sent to."""

DEADLINE_S = 20.0
"""A device that does not take a pushed receipt within this sends its record again anyway."""

FRESH_S = 3600.0
"""A device's address that is older than this is hardly its own any more."""

_log = logging.getLogger("bondmate.gateway")


class PushTuning(TransportTuning):  # type: ignore[misc]
    """Retransmission of a pushed receipt: the times of alerts (docs/protocol.md, section 6)."""

    MAX_RETRANSMIT = 2


@dataclass(frozen=True, slots=True)
class _Heard:
    channel: oscore.Channel
    remote: Any
    at_s: float


class Pushes:
    """The newest address of each device, in memory, and the pushes under way: one at a time for a device."""

    def __init__(self) -> None:
        self._heard: dict[bytes, _Heard] = {}
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self.coap: Any = None
        """The aiocoap context that sends; set by whoever makes it, for it needs its site first."""

    def heard(self, channel: oscore.Channel, remote: Any, now_s: float) -> None:
        """Note where a verified message came from; `now_s` is the event loop's time."""
        if channel.bearer.name in BEARERS:
            self._heard[channel.bearer.device] = _Heard(channel, remote, now_s)

    def push_to_newest(self, device: bytes, receipt: bytes, now_s: float) -> None:
        """Push a receipt to the newest address of a device, under the context heard there, if there is a fresh one."""
        heard = self._heard.get(device)
        if heard is not None and now_s - heard.at_s <= FRESH_S:
            self.push(heard.channel, heard.remote, receipt)

    def push(self, channel: oscore.Channel, remote: Any, receipt: bytes) -> None:
        """Push a receipt; while one is under way to the device, do nothing."""
        device = channel.bearer.device
        if device in self._tasks:
            return
        task = asyncio.get_running_loop().create_task(self._send(channel, remote, receipt))
        self._tasks[device] = task
        task.add_done_callback(lambda _: self._tasks.pop(device))

    async def close(self) -> None:
        """End the pushes that are under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, channel: oscore.Channel, remote: Any, receipt: bytes) -> None:
        name = records.device_text(channel.bearer.device)
        message = aiocoap.Message(code=aiocoap.POST, uri_path=PATH, payload=receipt, transport_tuning=PushTuning())
        try:
            async with asyncio.timeout(DEADLINE_S):
                protected, request_id = channel.protect(message)
                protected.remote = remote
                response = await self.coap.request(protected, handle_blockwise=False).response
                inner, _ = channel.unprotect(response, request_id)
        except (coap_error.Error, TimeoutError) as error:
            _log.debug("receipt pushed to %s at %s: no answer that verifies: %r", name, remote.hostinfo, error)
            return
        _log.debug("receipt pushed to %s at %s: %s", name, remote.hostinfo, inner.code)
