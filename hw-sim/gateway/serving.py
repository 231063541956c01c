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


def plain(code: Any, why: str | None = None) -> Served:
    """Return an answer without payload; `why` is for the log."""
    return Served(aiocoap.Message(code=code), said=() if why is None else [(logging.INFO, why)])
