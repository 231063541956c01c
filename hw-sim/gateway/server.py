"""The CoAP face of the gateway over UDP: hand a request to the inbox, answer (docs/protocol.md, sections 4 and 5).

It decides no verdict, and stores nothing itself.
"""

import asyncio
import logging
from typing import Any

import aiocoap
from aiocoap import interfaces
from aiocoap import oscore as library

from bondmate_sim.gateway.inbox import Inbox, RefusedError, UnstoredError
from bondmate_sim.gateway.pushes import Pushes

_log = logging.getLogger("bondmate.gateway")


class Site(interfaces.Resource):  # type: ignore[misc]
    """Everything that the gateway answers. It takes the place of aiocoap's site and of its OSCORE wrapper.

    The wrapper answers unprotected requests by their path, speaks EDHOC, and tells an unknown context from a replay
    and from a wrong key; here all of that is one plain 4.01.
    """

    def __init__(self, inbox: Inbox, pushes: Pushes) -> None:
        self._inbox = inbox
        self._pushes = pushes

    async def render(self, request: Any) -> Any:
        """Not used: answers go to the pipe."""
        raise NotImplementedError

    async def needs_blockwise_assembly(self, request: Any) -> bool:
        """Not used: no submission is as large as a block."""
        raise NotImplementedError

    async def render_to_pipe(self, pipe: Any) -> None:
        """Answer one request."""
        pipe.add_response(self._answer(pipe.request), is_last=True)

    def _answer(self, request: Any) -> Any:
        sender = request.remote.hostinfo
        try:
            taken = self._inbox.take(request, sender)
        except RefusedError as why:
            _log.info("refused a datagram of %s: %s", sender, why)
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED)
        except UnstoredError as error:
            return _unavailable(error)
        if taken.rekeyed:
            self._pushes.forget(taken.channel.bearer.device)
        self._pushes.heard(taken.channel, request.remote, asyncio.get_running_loop().time())
        if taken.outcome is not None and taken.outcome.repeated:
            self._pushes.push(taken.channel, request.remote, taken.reply.payload)
        return taken.channel.protect(taken.reply, taken.request_id)[0]


def _unavailable(error: UnstoredError) -> Any:
    message = aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE)
    if error.channel is None:
        return message
    # The window was not committed, so the same request could be answered once more: a response under the request's own
    # nonce now would spend that nonce twice. An own number, reserved earlier, is safe.
    error.request_id.can_reuse_nonce = False
    try:
        return error.channel.protect(message, error.request_id)[0]
    except library.ContextUnavailable:
        return message
