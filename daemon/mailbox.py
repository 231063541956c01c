"""The mailbox of the device: fetched, verified, kept, and only then of any effect (docs/protocol.md, section 8).

Knows nothing of the palm, and nothing of alerts but their digests: its listener does.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bondmate import messages
from bondmate.core.fetching import Fetching
from bondmate.core.inbox import Take, judge
from bondmate.cose import PublicKey
from bondmate.errors import LinkError, LocalError, RemoteError, StoreError, StoreTrouble
from bondmate.faults import Faults
from bondmate.letters import Letter, MailboxListener, letter_of
from bondmate.mail import MAX_ANSWER_OCTETS, SHOWN, KeptMessage, MessageState
from bondmate.orders import Orders
from bondmate.ports import Bearer, Outbox
from bondmate.records import DeviceId, Moment
from bondmate.telling import StateTeller
from bondmate.tracker import Recording

log = logging.getLogger(__name__)

FETCH_S = 10.0
"""So long one bearer is waited for: two transmissions of the request. Then the next one has its turn."""
LISTED_MAX = 100
"""Messages that are shown."""
EXERCISE = "exercise"
"""Under which name the store keeps the last exercise that was taken, in its listener's own octets."""
FAULT = "mailbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxParts:
    """What a mailbox is made of."""

    outbox: Outbox
    device: DeviceId
    gateway_keys: dict[bytes, PublicKey]
    bearers: Sequence[Bearer]
    faults: Faults
    moment: Callable[[], Moment]
    """Now."""
    record: Recording
    """Makes a record."""
    deadline_s: float
    """A commit that takes longer counts as one that fails, as far as an acknowledgement goes."""


class Mailbox:
    """One mailbox. All methods run in the event loop; times are the loop's, which is monotonic."""

    def __init__(self, parts: MailboxParts, listener: MailboxListener, changed: Callable[[], None]) -> None:
        """`changed` is called when there is something else to see."""
        self._parts = parts
        self._outbox = parts.outbox
        self._bearers = [bearer for bearer in parts.bearers if not bearer.is_scarce]
        self._listener = listener
        self._changed = changed
        self._told = StateTeller(parts.outbox, parts.record)
        self.orders = Orders(parts.outbox, self._told, parts.moment, listener.ordered)
        """What has to be carried out."""
        self._now = asyncio.get_running_loop().time
        self._fetching = Fetching()
        self._woken = asyncio.Event()
        self._cursor: int | None = None
        """Of the store, when it could be read last; None before that."""
        self._unsure: tuple[Take, KeptMessage] | None = None
        """The store failed while it took this: it may have it all the same."""
        self._resumed = False
        """What an earlier session left to be told was told."""
        self._commit: asyncio.Future[bool] | None = None
        """The last, which may hang: behind it another would only wait."""
        self._early: set[bytes] = set()
        """Calls of which it was told, from memory alone, that a human saw them."""
        self.unread = 0
        """How many messages nobody has read."""

    async def run(self) -> None:
        """Fetch again and again, until cancelled."""
        while True:
            self._woken.clear()
            try:
                due_s = self._fetching.next_due()
                async with asyncio.timeout_at(None if due_s == math.inf else due_s):
                    await self._woken.wait()
            except TimeoutError:
                await self._fetch()

    def wake(self) -> None:
        """The gateway says that there is something, or a way to it is free again."""
        self._fetching.wake(self._now())
        self._woken.set()

    async def ask(self, bearer: Bearer) -> None:
        """Ask over this bearer alone whether there is anything, to know whether it works. Raises LinkError.

        Nothing of the answer is taken: a fetch follows, as when the gateway wishes to be asked. The caller sets the
        deadline.
        """
        cursor = self._cursor
        if cursor is None:
            try:
                async with asyncio.timeout(self._parts.deadline_s):
                    cursor = await self._outbox.cursor()
            except (StoreError, TimeoutError):
                cursor = 0  # as a device does that lost its store
        await bearer.fetch(cursor)
        self.wake()

    def regime(self, *, on_duty: bool, alert_open: bool, acknowledged: bool) -> None:
        """How soon news is needed."""
        self._fetching.regime(on_duty=on_duty, alert_open=alert_open, acknowledged=acknowledged, now=self._now())
        self._woken.set()

    # --- what the officer does with them ---------------------------------------------------------

    async def messages(self) -> list[Letter]:
        """What there is to read, the newest first. Raises StoreError."""
        found = await self._outbox.messages(LISTED_MAX, self._utc_s())
        return [letter for kept in found if (letter := letter_of(kept)) is not None]

    async def read(self, number: int) -> Letter:
        """The officer has read it. Raises LocalError where there is no such message, StoreError."""
        letter = await self._find(number)
        return await self._mark(letter, MessageState.READ, None)

    async def answer(self, number: int, text: str) -> Letter:
        """The officer answers, once. Raises LocalError, also for an answer that is too long; StoreError."""
        if not 1 <= len(text.encode("utf-8", "replace")) <= MAX_ANSWER_OCTETS:
            raise LocalError(f"an answer has 1 to {MAX_ANSWER_OCTETS} octets: say it shorter")
        letter = await self._find(number)
        if letter.kept.answer not in (None, text):
            raise LocalError(f"message {number} was answered already: {letter.kept.answer}")
        return await self._mark(letter, MessageState.ANSWERED, text)

    async def _find(self, number: int) -> Letter:
        kept = await self._outbox.message(number)
        letter = None if kept is None else letter_of(kept)
        if letter is None:
            raise LocalError(f"there is no message {number}: see the inbox")
        return letter

    async def _mark(self, letter: Letter, state: MessageState, answer: str | None) -> Letter:
        kept = letter.kept
        if kept.state >= state:
            return letter
        await self._outbox.mark_message(kept.number, state, answer, self._parts.moment())
        kept = replace(kept, state=state, answer=answer)
        self._told.add(kept)
        self._told.tell()
        await self._try(self._count)
        self._changed()
        return replace(letter, kept=kept)

    # --- what comes ------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        self._fetching.begin()
        try:
            cursor = await self._settle()
            takes = self._judged(cursor, await self._ask(cursor))
            more = await self._take_all(takes)
        except LinkError as error:
            log.info("the mailbox was not fetched: %s", error)
            self._fetching.failed(self._now())
        except RemoteError as error:
            self._report(f"what the gateway has for this device is not accepted: {error}")
            self._fetching.failed(self._now())
        else:
            self._report(None)
            self._fetching.fetched(self._now(), more=more)
        await self._tell_all()

    async def _tell_all(self) -> None:
        """Of what was taken just now, or earlier."""
        told, unread = self._told.tell(), self.unread
        await self._try(self._count)
        if told or unread != self.unread:
            self._changed()

    async def _ask(self, cursor: int) -> bytes:
        """The answer of the first bearer that has one, beginning with the one that worked last. Raises LinkError."""

        def order(bearer: Bearer) -> tuple[bool, float]:
            last_s = bearer.last_success_s
            return bearer.why_not is not None, math.inf if last_s is None else -last_s

        problems = []
        for bearer in sorted(self._bearers, key=order):
            try:
                async with asyncio.timeout(FETCH_S):
                    return await bearer.fetch(cursor)
            except TimeoutError:
                problems.append(f"{bearer.name}: no answer in time")
            except LinkError as error:
                problems.append(f"{bearer.name}: {error}")
        raise LinkError("; ".join(problems) or "there is no way that carries a mailbox")

    def _judged(self, cursor: int, answer: bytes) -> list[Take]:
        """Raises RemoteError: one message that cannot be accepted, and none of them is."""
        device, keys = self._parts.device, self._parts.gateway_keys
        verified = [messages.verify(data, device, keys) for data in messages.split(answer)]
        return judge(cursor, verified, self._utc_s(), self._listener.exercise_version())

    async def _take_all(self, takes: Sequence[Take]) -> bool:
        """Take them in their order; whether there may be more. What the store does not take has no effect."""
        if self._commit is not None and not self._commit.done():
            self._tell_early(takes)
            return False
        for done, take in enumerate(takes):
            try:
                await self._take(take)
            except StoreError as error:
                log.info("message %d is not stored, and comes again: %s", take.message.number, error)
                self._tell_early(takes[done:])
                return False
        return bool(takes)

    async def _take(self, take: Take) -> None:
        """Commit a message with all that it changes, and then tell. Raises StoreError."""
        message, order = take.message, take.exercise
        to_read = message.type in SHOWN and take.state is MessageState.TAKEN
        kept = KeptMessage(
            message.number,
            message.type,
            message.data,
            message.expires_s,
            self._parts.moment(),
            take.state,
            felt=not (to_read and message.urgent),
        )
        small = {} if order is None else {EXERCISE: self._listener.exercise_state(order.version, order.seconds)}
        self._unsure = take, kept
        commit = asyncio.ensure_future(
            self._outbox.take_message(
                kept, acknowledges=take.acknowledges, closes=take.closes, by=message.by, kept=small
            )
        )
        self._commit = commit
        done, _ = await asyncio.wait({commit}, timeout=self._parts.deadline_s)
        if not done:
            # it may still become durable: the next look at the cursor tells
            commit.add_done_callback(self._ended_late)
            raise StoreError("a commit hangs", StoreTrouble.HANGING)
        is_new = commit.result()
        self._unsure, self._cursor = None, message.number
        if is_new:
            self._obey(take, kept)

    def _ended_late(self, commit: asyncio.Future[bool]) -> None:
        """Nobody waits for it any more, nor for its error: what came of it the store knows."""
        if not commit.cancelled():
            commit.exception()
            self.wake()

    def _obey(self, take: Take, kept: KeptMessage) -> None:
        """It is durable: let it have its effect."""
        message, order = take.message, take.exercise
        log.info("message %d of type %d taken, by %s", message.number, message.type, message.by)
        for digest in take.acknowledges:
            if digest in self._early:
                self._early.remove(digest)
            else:
                self._listener.acknowledged(digest, message.by)
        for digest in take.closes:
            self._listener.closed(digest, message.by)
        if order is not None:
            self._listener.exercise(order.version, order.seconds)
        if take.state is MessageState.TAKEN and (letter := letter_of(kept)) is not None:
            self._listener.arrived(letter)
        self._told.add(kept)
        self.orders.taken(kept)

    def _tell_early(self, takes: Iterable[Take]) -> None:
        """The officer should feel that a human saw the call, and calls be real again, store or not.

        Nothing else has effect without one.
        """
        for take in takes:
            if take.exercise is not None and take.exercise.seconds == 0:
                self._listener.exercise(take.exercise.version, 0)
            for digest in take.acknowledges:
                if digest not in self._early:
                    self._early.add(digest)
                    self._listener.acknowledged(digest, take.message.by)

    # --- what is told ----------------------------------------------------------------------------

    async def _settle(self) -> int:
        """Ask the store what it has, each time: a fresh file may have taken the place of a damaged one.

        Returns the cursor. Raises LinkError while the store never told it: the gateway would begin anew.
        """
        await self._try(self._read_cursor)
        # behind the records, which were given to the store long before
        await self._try(self._told.settle)
        if not self._resumed:
            await self._try(self._resume)
        if self._cursor is None:
            raise LinkError("the store has not told yet which messages it has")
        return self._cursor

    async def _read_cursor(self) -> None:
        self._cursor = await self._outbox.cursor()
        unsure, self._unsure = self._unsure, None
        if unsure is not None and unsure[0].message.number <= self._cursor:
            self._obey(*unsure)

    async def _resume(self) -> None:
        """A session that ended in between may have kept a message, and told nobody."""
        untold, unfelt = await self._outbox.untold(), await self._outbox.unfelt(self._utc_s())
        self._resumed = True
        self._told.add(*untold)
        for letter in filter(None, map(letter_of, unfelt)):
            self._listener.arrived(letter)

    async def _count(self) -> None:
        self.unread = await self._outbox.unread(self._utc_s())

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        """What the store does not do now is done with the next fetch."""
        try:
            async with asyncio.timeout(self._parts.deadline_s):
                await work()
        except (StoreError, TimeoutError) as error:
            log.info("the mailbox cannot read or write its store: %s", str(error) or "it hangs")

    def _utc_s(self) -> float | None:
        utc_ms = self._parts.moment().utc_ms
        return None if utc_ms is None else utc_ms / 1000

    def _report(self, text: str | None) -> None:
        next_step = "tell the control room; enrol the device anew if the gateway's keys changed"
        self._parts.faults.report(FAULT, text, next_step, self._parts.moment().utc_ms)
