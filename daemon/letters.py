"""Mailbox messages as an officer sees them: what they say, and what became of them; and who is told of them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bondmate import messages
from bondmate.core.geo import Point, bearing_deg, distance_m
from bondmate.errors import RemoteError
from bondmate.mail import Area, AreaAlert, Assistance, KeptMessage, Message, MessageType, Text
from bondmate.records import Kind, utc_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that an officer may read: as it is kept, and what it says."""

    kept: KeptMessage
    message: Message
    content: Text

    def to_json(self, here: Point | None) -> dict[str, Any]:
        """As in GET /inbox; `here` is where the device is, as far as that may be known."""
        kept, message = self.kept, self.message
        content = self.content
        place: Area | None = content.area if isinstance(content, AreaAlert) else None
        kind: str | None = None
        if isinstance(content, Assistance):
            place = content.place
            kind = Kind(content.kind).label if content.kind in set(Kind) else None
        distance = bearing = None
        if here is not None and place is not None:
            distance, bearing = round(distance_m(here, place)), round(bearing_deg(here, place)) % 360
        return {
            "number": kept.number,
            "type": MessageType(kept.type).label,
            "text": content.text,
            "by": message.by,
            "sent_at": utc_text(message.time_s * 1000),
            "urgent": message.urgent,
            "replies": list(content.replies),
            "state": kept.state.label,
            "answer": kept.answer,
            "place": place and {"lat": place.lat, "lon": place.lon, "radius_m": place.radius_m},
            "kind": kind,
            "distance_m": distance,
            "bearing_deg": bearing,
            "expires_at": None if message.expires_s is None else utc_text(message.expires_s * 1000),
        }


def letter_of(kept: KeptMessage) -> Letter | None:
    """What was kept, as it can be read; None for what this daemon cannot read: another one wrote it."""
    try:
        message = messages.read(kept.data)
    except RemoteError as error:
        log.error("message %d cannot be shown: %s", kept.number, error)  # noqa: TRY400 - no bug of ours
        return None
    return Letter(kept, message, message.content) if isinstance(message.content, Text) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxListener:
    """Who is told what the gateway said, each time when it is durable. None of them may raise."""

    acknowledged: Callable[[bytes, str], None]
    """A human, by this name, saw the call with this digest, if it is one of this device. It may be told twice."""
    closed: Callable[[bytes, str], None]
    """The call with this digest is over, said by this name, if it is one of this device."""
    exercise_version: Callable[[], int]
    """The highest version of an exercise that was ever taken; 0 before any."""
    exercise_state: Callable[[int, int], bytes]
    """What the store is to keep, under `mailbox.EXERCISE` and in the same commit, of an exercise of this version that
    begins now and lasts so many seconds."""
    exercise: Callable[[int, int], None]
    """It was kept: it begins, or with 0 seconds it is over."""
    arrived: Callable[[Letter], None]
    """There is something new to read. An urgent one is told again after a restart, unless `felt` was called."""
    ordered: Callable[[], None]
    """What has to be carried out changed (`Mailbox.orders`)."""
