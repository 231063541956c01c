"""The wipe that the gateway ordered, up to the mark (docs/protocol.md, section 10). What is erased then is erasing's.

The button goes on working, and what is owed to the gateway goes first; as long as that is so, nothing happens.
"""

import logging
from collections.abc import Callable

from bondmate.faults import Faults
from bondmate.mail import MessageState, WipeOrder
from bondmate.orders import Order, Orders
from bondmate.records import Kind, SignedRecord

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often it is looked whether anything is still owed."""
FAULT = "wipe"
NEXT = "hand the device in; its button works until then"


class Wiper:
    """All methods run in the event loop."""

    def __init__(
        self,
        orders: Orders,
        owes: Callable[[], bool],
        record: Callable[..., SignedRecord],
        mark: Callable[[], None],
        faults: Faults,
        notice: Callable[[], None],
    ) -> None:
        """`owes` tells whether anything of a call is not delivered yet, or may not be; `mark` raises OSError.

        `notice` is called once, when the device learns that it is to be wiped.
        """
        self._orders = orders
        self._owes = owes
        self._make = record
        self._mark = mark
        self._faults = faults
        self._notice = notice
        self._noticed = False
        self._telling: bytes | None = None
        """The digest of this session's record that tells state 5. Made in each session anew: only its own receipt says
        that the gateway knows, and a repeat is harmless."""
        self._told = False
        """That record has its receipt, or was refused to a device that is revoked."""
        self.marked = False
        """It is durable: the run has to end."""

    @property
    def is_ordered(self) -> bool:
        """Whether the device is to be wiped."""
        return self._order() is not None

    def answered(self, record: SignedRecord) -> None:
        """A verified receipt names this record, or it was refused, for the device is revoked."""
        self._told = self._told or record.digest == self._telling

    def step(self, now: float) -> float | None:
        """Do what can be done; when to be asked again. It blocks for as long as the mark takes."""
        order = self._order()
        if self.marked or (order is None and not self._told):
            self._faults.report(FAULT, None, "", None)
            return None
        if order is not None and not self._noticed:
            self._noticed = True
            text = f"this device is to be wiped, by order of {order.by}: as soon as all calls are delivered"
            self._faults.report(FAULT, text, NEXT, order.kept.taken.utc_ms)
            self._notice()
        if self._owes():
            return now + LOOK_S
        if self._telling is None and order is not None:
            state = [order.number, int(MessageState.CARRIED_OUT), ""]
            self._telling = self._make(Kind.MESSAGE_STATE, body=[state]).digest
        if not self._told:
            return now + LOOK_S
        try:
            # in the event loop, and nothing between the last look and this: no press can be felt as stored, and erased
            self._mark()
        except OSError as error:
            text = f"this device is to be wiped, and that cannot be kept: {error.strerror}"
            self._faults.report(FAULT, text, NEXT, None)
            return now + LOOK_S
        log.warning("being wiped: nothing is owed to the gateway any more")
        self.marked = True
        return None

    def _order(self) -> Order | None:
        return next((order for order in self._orders.open if isinstance(order.content, WipeOrder)), None)
