"""What the gateway ordered and a part of the device carries out: updates, new keys, the end (protocol.md, section 10).

The part that does it looks for its orders with `open`, is woken by `changed`, and says in the end what came of it with
`tell`: in this session, or in a later one, which finds the order here again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from bondmate import messages
from bondmate.core.inbox import is_expired
from bondmate.errors import RemoteError
from bondmate.mail import (
    MAX_ANSWER_OCTETS,
    KeptMessage,
    MessageState,
    RekeyOrder,
    UpdateOrder,
    WipeOrder,
)
from bondmate.ports import Outbox
from bondmate.records import Moment
from bondmate.telling import StateTeller

log = logging.getLogger(__name__)

Ordered = UpdateOrder | WipeOrder | RekeyOrder


@dataclass(frozen=True, slots=True)
class Order:
    """A message that is durable and has to be carried out, by the name of whoever caused it."""

    kept: KeptMessage
    by: str
    content: Ordered

    @property
    def number(self) -> int:
        """The message's."""
        return self.kept.number


class Orders:
    """All methods run in the event loop."""

    def __init__(
        self, outbox: Outbox, teller: StateTeller, moment: Callable[[], Moment], changed: Callable[[], None]
    ) -> None:
        """`changed` is called when there is another order, or one less. It may not raise."""
        self._outbox = outbox
        self._teller = teller
        self._moment = moment
        self._changed = changed
        self._open: dict[int, Order] = {}

    @property
    def open(self) -> tuple[Order, ...]:
        """What is not carried out yet and has not expired, the oldest first."""
        utc_s = self._utc_s()
        return tuple(order for _, order in sorted(self._open.items()) if not is_expired(order.kept.expires_s, utc_s))

    async def resume(self) -> None:
        """Take up what an earlier session left. Raises StoreError."""
        for kept in await self._outbox.orders(self._utc_s()):
            self.taken(kept)

    def taken(self, kept: KeptMessage) -> None:
        """A message was stored; what is no order is not looked at."""
        order = _order_of(kept)
        if order is not None and order.number not in self._open:
            self._open[order.number] = order
            self._changed()

    async def begin(self, number: int) -> None:
        """One is being carried out: it does not expire any more, so that what comes of it is told. StoreError."""
        await self._outbox.mark_begun(number)
        order = self._open.get(number)
        if order is not None:
            self._open[number] = replace(order, kept=replace(order.kept, expires_s=None))

    async def tell(self, number: int, state: MessageState, text: str = "") -> None:
        """What came of an order: CARRIED_OUT, FAILED or WITHOUT_EFFECT. Raises StoreError: then it is still open.

        `text` (what runs now, or why) is cut to 160 octets. It is durable when this returns, and is told by a record
        then, whatever happens; off duty too.
        """
        order = self._open.get(number)
        if order is None:
            return
        said = None if state is MessageState.WITHOUT_EFFECT else _cut(text)
        await self._outbox.mark_order(number, state, said, self._moment())
        self._open.pop(number, None)
        log.info("message %d: %s %s", number, state.label, said or "")
        self._teller.add(replace(order.kept, state=state, answer=said))
        self._teller.tell()
        self._changed()

    def _utc_s(self) -> float | None:
        utc_ms = self._moment().utc_ms
        return None if utc_ms is None else utc_ms / 1000


def _order_of(kept: KeptMessage) -> Order | None:
    if kept.state is not MessageState.TAKEN:
        return None
    try:
        message = messages.read(kept.data)
    except RemoteError as error:
        log.error("message %d cannot be carried out: %s", kept.number, error)  # noqa: TRY400 - no bug of ours
        return None
    content = message.content
    return Order(kept, message.by, content) if isinstance(content, UpdateOrder | WipeOrder | RekeyOrder) else None


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[:MAX_ANSWER_OCTETS].decode("utf-8", "ignore")
