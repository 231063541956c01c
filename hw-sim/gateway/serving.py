"""What an authentic message is answered, before it is committed and protected. It decides nothing."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiocoap

from bondmate_sim.gateway import intake


@dataclass(frozen=True, slots=True)
class Served:
    """The reply to an authentic message, what the log says once it is committed, and what is done then.

    `outcome` is there when it was a submission.
    """

    reply: Any
    outcome: intake.Outcome | None = None
    said: Sequence[tuple[int, str]] = ()
    committed: Callable[[], None] | None = None


def refused_post(request: Any, most_octets: int) -> Served | None:
    """Return the answer to what is no POST of one message of at most so many octets; None for one that is."""
    if request.code != aiocoap.POST:
        return plain(aiocoap.METHOD_NOT_ALLOWED)
    if request.opt.block1 is not None or len(request.payload) > most_octets:
        return plain(aiocoap.REQUEST_ENTITY_TOO_LARGE)
    return None


def plain(code: Any, why: str | None = None) -> Served:
    """Return an answer without payload; `why` is for the log."""
    return Served(aiocoap.Message(code=code), said=() if why is None else [(logging.INFO, why)])
