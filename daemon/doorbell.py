"""Tells the palm that there is something to read, once for however much came, until it was felt to its end."""

import logging

from bondmate.core.feedback import Pattern
from bondmate.errors import StoreError
from bondmate.letters import Letter
from bondmate.palm import Palm
from bondmate.ports import Outbox

log = logging.getLogger(__name__)

MAIL = b"mail"
"""What a pattern is about that tells of messages."""


class Doorbell:
    """All methods run in the event loop."""

    def __init__(self, palm: Palm, outbox: Outbox) -> None:
        self._palm = palm
        self._outbox = outbox
        self._unfelt: set[int] = set()
        """Messages that the palm is still to be told of."""

    def ring(self, letter: Letter, *, on_duty: bool) -> None:
        """A message is stored. An urgent one is felt, whenever it is; another one only on duty."""
        if letter.message.urgent or on_duty:
            self._unfelt.add(letter.kept.number)
            self._palm.play(Pattern.ATTENTION, MAIL)

    async def felt(self) -> None:
        """It was: after a restart it is not felt again."""
        numbers, self._unfelt = self._unfelt, set()
        try:
            for number in numbers:
                await self._outbox.mark_message_felt(number)
        except StoreError as error:
            log.info("that messages were felt is not stored, they are felt again after a restart: %s", error)
