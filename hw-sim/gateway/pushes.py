"""Requests to a device over IP: receipts to `/c`, where a repeat came from or to its newest address; wake-ups to `/w`.

A push is a chance and no promise: the device sends its record again, and asks for messages, anyway. It knows nothing of
SMS.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import aiocoap
from aiocoap import error as coap_error
from aiocoap.numbers.constants import TransportTuning

from bondmate_sim.gateway import oscore, records

PATH, WAKE_PATH = ("c",), ("w",)
BEARERS = ("ip", "lte")
"""The bearers whose messages come from an address that a push can be sent to."""

DEADLINE_S = 20.0
"""A device that does not answer within this sends its record again, or asks for its messages, anyway."""

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
        self._wakes: dict[bytes, asyncio.Task[None]] = {}
        self._again: set[bytes] = set()
        """Devices for which there is something new since the wake-up that is under way."""
        self.coap: Any = None
        """The aiocoap context that sends; set by whoever makes it, for it needs its site first."""

    def heard(self, channel: oscore.Channel, remote: Any, now_s: float) -> None:
        """Note where a verified message came from; `now_s` is the event loop's time."""
        if channel.bearer.name in BEARERS:
            self._heard[channel.bearer.device] = _Heard(channel, remote, now_s)

    def forget(self, device: bytes) -> None:
        """Forget the address of a device, which was heard there under keys that are no more."""
        self._heard.pop(device, None)

    def push_to_newest(self, device: bytes, receipt: bytes, now_s: float) -> None:
        """Push a receipt to the newest address of a device, under the context heard there, if there is a fresh one."""
        heard = self._fresh(device, now_s)
        if heard is not None:
            self.push(heard.channel, heard.remote, receipt)

    def push(self, channel: oscore.Channel, remote: Any, receipt: bytes) -> None:
        """Push a receipt; while one is under way to the device, do nothing."""
        device = channel.bearer.device
        if device in self._tasks:
            return
        task = asyncio.get_running_loop().create_task(self._send(channel, remote, PATH, receipt, "receipt"))
        self._tasks[device] = task
        task.add_done_callback(lambda _: self._tasks.pop(device))

    def wake(self, device: bytes, now_s: float) -> bool:
        """Tell a device that messages wait, at its newest address; return whether there is a fresh one.

        While a wake-up is under way another follows it, for the device may have asked before the newest was there.
        """
        if self._fresh(device, now_s) is None:
            return False
        self._again.add(device)
        if device not in self._wakes:
            self._wakes[device] = asyncio.get_running_loop().create_task(self._wake(device))
            self._wakes[device].add_done_callback(lambda _: self._wakes.pop(device))
        return True

    async def close(self) -> None:
        """End the pushes that are under way."""
        tasks = [*self._tasks.values(), *self._wakes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fresh(self, device: bytes, now_s: float) -> _Heard | None:
        heard = self._heard.get(device)
        return heard if heard is not None and now_s - heard.at_s <= FRESH_S else None

    async def _wake(self, device: bytes) -> None:
        while device in self._again:
            self._again.discard(device)
            heard = self._fresh(device, asyncio.get_running_loop().time())
            if heard is not None:
                await self._send(heard.channel, heard.remote, WAKE_PATH, b"", "wake-up")

    async def _send(
        self, channel: oscore.Channel, remote: Any, path: tuple[str, ...], payload: bytes, what: str
    ) -> None:
        name = records.device_text(channel.bearer.device)
        message = aiocoap.Message(code=aiocoap.POST, uri_path=path, payload=payload, transport_tuning=PushTuning())
        try:
            async with asyncio.timeout(DEADLINE_S):
                protected, request_id = channel.protect(message)
                protected.remote = remote
                response = await self.coap.request(protected, handle_blockwise=False).response
                inner, _ = channel.unprotect(response, request_id)
        except (coap_error.Error, TimeoutError) as error:
            _log.debug("%s pushed to %s at %s: no answer that verifies: %r", what, name, remote.hostinfo, error)
            return
        _log.debug("%s pushed to %s at %s: %s", what, name, remote.hostinfo, inner.code)
