"""Carries out what the delivery core decides: one task for each attempt, over whatever bearer it names.

Supervises the bearers: whatever one of them trips over, the others and the button go on.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from bondmate import wire
from bondmate.core.delivery import Delivery
from bondmate.core.queued import Transmit
from bondmate.errors import LinkError, RemoteError, UnfitError
from bondmate.ports import Bearer

log = logging.getLogger(__name__)


class Sender:
    """Sends records. All methods run in the event loop; times are the loop's."""

    def __init__(
        self,
        bearers: Sequence[Bearer],
        delivery: Delivery,
        take_receipt: Callable[[bytes], None],
        wake: Callable[[], None],
    ) -> None:
        """`take_receipt` raises RemoteError for a receipt that does not verify; `wake` says that the core has news."""
        self._bearers = {bearer.name: bearer for bearer in bearers}
        self._delivery = delivery
        self._take_receipt = take_receipt
        self._wake = wake
        self._now = asyncio.get_running_loop().time
        self._attempts: dict[int, asyncio.Task[None]] = {}
        """Those under way, by their number."""

    def step(self, group: asyncio.TaskGroup, now: float) -> float | None:
        """Begin what is due, each in a task of `group`; when there is something to do next."""
        for order in self._delivery.unwanted():
            if task := self._attempts.get(order.number):
                task.cancel()
        for order in self._delivery.poll(now):
            attempt = self._attempts[order.number] = group.create_task(self._transmit(order))
            attempt.add_done_callback(partial(self._ended, order.number))
        return self._delivery.next_due()

    def _ended(self, number: int, _attempt: asyncio.Task[None]) -> None:
        del self._attempts[number]

    async def _transmit(self, order: Transmit) -> None:
        record, bearer = order.record, self._bearers[order.bearer]
        session, was_down = bearer.session, bearer.why_not is not None
        beside = None if record.id.session == session else record.id.session
        answered = False
        try:
            async with asyncio.timeout_at(order.deadline_s):
                answer = await bearer.send(wire.encode_submission(record.data, beside=beside, compact=bearer.is_scarce))
            if answer is None:
                log.info("%s handed to the network over %s", record.id, order.bearer, extra={"RECORD": str(record.id)})
                self._delivery.handed_over(order, self._now())
                self._wake()
                return
            self._take_receipt(answer)
            answered = True
            why = "the gateway's receipt did not name this record"
        except TimeoutError:
            why = f"no authenticated answer over {order.bearer}"
        except asyncio.CancelledError:
            self._delivery.failed(order, "broken off: nothing needs it now", self._now())
            self._wake()
            raise
        except UnfitError as error:
            self._delivery.unfit(order, str(error), self._now())
            self._wake()
            return
        except (LinkError, RemoteError) as error:
            why = f"{order.bearer}: {error}"
        except Exception as error:
            log.exception("the bearer %s failed", order.bearer)
            why = f"{order.bearer} failed: {error}"
        now = self._now()
        is_open = self._delivery.is_open(record.digest)
        if is_open:
            log.info("%s not delivered yet: %s", record.id, why, extra={"RECORD": str(record.id)})
        if answered and not is_open:
            self._delivery.succeeded(order, now)
        else:
            self._delivery.failed(order, why, now)
        if bearer.session != session or (was_down and bearer.why_not is None):
            self._delivery.reachable(order.bearer, now)
        self._wake()
