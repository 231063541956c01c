"""A device's calls as alerts: which escalate which, what took them back, who handled them (docs/protocol.md).

It reads what is held, afresh at each call, and writes nothing.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bondmate_sim.gateway import bodies, cose, evidence, exercises, records, sessions
from bondmate_sim.gateway.chain import Chain
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Verdict

Moment = tuple[int, int]
"""When a device made a record: the session's place in the device's own order, and elapsed milliseconds in it."""

Identity = tuple[bytes, int]

_PREVIOUS_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """One record as it is held, decoded."""

    row: int
    session: bytes
    moment: Moment
    digest: bytes
    chain: Chain
    verdict: Verdict
    bearer: str
    received_ms: int
    tagged: bytes
    record: records.Record

    @property
    def identity(self) -> Identity:
        """What tells it from others of its stream."""
        return self.session, self.record.sequence

    @property
    def made_ms(self) -> int:
        """When it was made by the device's clock; when it was received, where that is not known. UTC in ms."""
        return self.received_ms if self.record.clock is None else self.record.clock.utc_ms


@dataclass(frozen=True, slots=True)
class Handling:
    """What somebody did about a call, when (UTC in ms), and up to which row the records were held then."""

    digest: bytes
    closed: bool
    by: str
    at_ms: int
    seen: int


@dataclass(frozen=True, slots=True)
class Alert:
    """A call, and those that escalate it: the oldest first, each as all records under its identity as they arrived.

    `cancellations` name any of them, `handled` is what people did about them, `ordered` says that an exercise was
    ordered for when the first was made, `check_ins` are the records of check-ins before it, the newest first.
    """

    calls: tuple[tuple[Stored, ...], ...]
    cancellations: tuple[Stored, ...] = ()
    handled: tuple[Handling, ...] = ()
    ordered: bool = False
    check_ins: tuple[Stored, ...] = ()

    @property
    def first(self) -> Stored:
        """The record that the alert is known by."""
        return self.calls[0][0]

    @property
    def digests(self) -> list[bytes]:
        """The digests of all its calls, the newest last."""
        return [each.digest for each in itertools.chain.from_iterable(self.calls)]

    @property
    def duress(self) -> Stored | None:
        """The first cancellation under duress, if there is one: the officer did not mean it."""
        return next((each for each in self.cancellations if how(each) is bodies.How.DURESS), None)

    @property
    def cancelled(self) -> list[Stored]:
        """The cancellations that the officer meant; empty while the newest call is not taken back."""
        newest = {each.digest[: bodies.CANCELLED_OCTETS] for each in self.calls[-1]}
        return [] if self.duress else [each for each in self.cancellations if each.record.cancels in newest]

    @property
    def acknowledgements(self) -> list[Handling]:
        """Who saw it, and when: each once, in order."""
        return list({(each.by, each.at_ms): each for each in self.handled if not each.closed}.values())

    @property
    def acknowledged(self) -> Handling | None:
        """Who saw first all that came of it until now, if anybody did."""
        return self.done(-1, closed=False)

    @property
    def closed(self) -> Handling | None:
        """Who closed it, if nothing came of it that was not seen then."""
        return self.done(-1, closed=True)

    @property
    def open(self) -> bool:
        """Whether neither the officer nor a dispatcher ended it."""
        return not self.cancelled and self.closed is None

    @property
    def marked(self) -> bool:
        """Whether the officer's device took it for an exercise."""
        # of a fork the other may be a real one
        return all(each.record.kind == records.EXERCISE for each in self.calls[0])

    @property
    def exercise(self) -> bool:
        """Whether it is an exercise and no more: one was ordered, and nothing real came of it."""
        return self.marked and self.ordered and len(self.calls) == 1 and self.duress is None

    @property
    def duress_unseen(self) -> bool:
        """Whether it was taken back under duress, and nobody acknowledged it since."""
        return self._forced_at > max((each.seen for each in self.handled if not each.closed), default=0)

    def done(self, place: int, *, closed: bool) -> Handling | None:
        """Return who saw, or closed, first the call at that place of `calls`, with all that came of it until now."""
        acts = [each for each in self.handled if each.closed or not closed]
        # A cancellation under duress says that an alert which somebody was done with is not over.
        acts = [each for each in acts if each.seen >= self._forced_at]
        return about_all(acts, [each.digest for each in self.calls[place]])

    @property
    def _forced_at(self) -> int:
        """The row of the newest cancellation under duress; 0 without one."""
        return max((each.row for each in self.cancellations if how(each) is bodies.How.DURESS), default=0)


@dataclass(frozen=True, slots=True)
class History:
    """A device's alerts in its own order, and cancellations, by identity, of calls that are not held."""

    alerts: list[Alert]
    loose: list[Alert]


def how(cancellation: Stored) -> bodies.How | None:
    """Return how an officer took a call back, or None when that is not told."""
    told = cancellation.record.cancellation
    return None if told is None else told.how


def about_all(acts: Sequence[Handling], digests: Sequence[bytes]) -> Handling | None:
    """Return the first of the acts about any of the records, if there is one about each: a fork counts as unseen."""
    about = [each for each in acts if each.digest in digests]
    return about[0] if about and {each.digest for each in about} == set(digests) else None


def history(database: Database, device: bytes, last: int | None = None) -> History:
    """Return a device's alerts, as far as they are held and can be read. Raises apsw.Error.

    With `last`, as far as the records say that arrived last, so many of them: then it costs the same for ever.
    """
    held = stored(database, device, records.ALERT, last)
    handled: dict[bytes, list[Handling]] = {}
    for each in handlings(database, device):
        handled.setdefault(each.digest, []).append(each)
    ordered = exercises.ordered(database, device)
    identities: dict[Identity, list[Stored]] = {}
    for record in held:
        identities.setdefault(record.identity, []).append(record)
    cancellations: dict[bytes | None, list[Stored]] = {}
    for record in held:
        cancellations.setdefault(record.record.cancels, []).append(record)
    before = _Before(held)

    def alert(groups: Sequence[Sequence[Stored]]) -> Alert:
        digests = [each.digest for each in itertools.chain.from_iterable(groups)]
        named = dict.fromkeys(digest[: bodies.CANCELLED_OCTETS] for digest in digests)
        ends = itertools.chain.from_iterable(cancellations.get(each, ()) for each in named)
        first = groups[0][0]
        missed = first.record.kind == records.CHECK_IN_MISSED
        return Alert(
            tuple(tuple(group) for group in groups),
            tuple(sorted(ends, key=lambda end: end.row)),
            tuple(
                sorted(
                    itertools.chain.from_iterable(handled.get(each, ()) for each in digests), key=lambda act: act.at_ms
                )
            ),
            exercises.is_ordered(ordered, first.made_ms),
            tuple(each for each in before.walk(first) if each.record.check_in) if missed else (),
        )

    alerts = [alert(groups) for groups in _escalations(identities, before)]
    matched = {each.row for found in alerts for each in found.cancellations}
    loose = [
        alert([same])
        for same in identities.values()
        if same[0].record.cancellation is not None and same[0].row not in matched
    ]
    return History(alerts, loose)


def stored(database: Database, device: bytes, stream: int, last: int | None = None) -> list[Stored]:
    """Return the records of the stream alert, position or presence as they arrived, the `last` of them or all.

    Moments compare between the streams of a device where all records are returned. Raises apsw.Error.
    """
    rows = database.rows(
        "SELECT row, session, digest, chain, verdict, bearer, received_ms, tagged FROM record"
        " WHERE device = ? AND stream = ? AND stream IN (0, 2, 3) ORDER BY row DESC LIMIT ?",
        (device, stream, -1 if last is None else last),
    )
    rows.reverse()
    if last is None:
        arrived = evidence.arrivals(database, device)
    else:
        arrived = {session: row for row, session, *_ in reversed(rows)}
    order = {session: rank for rank, session in enumerate(sessions.in_order(arrived))}
    found = []
    for row, session, digest, state, verdict, bearer, received_ms, tagged in rows:
        record = records.payload(cose.parse(tagged).payload)
        moment = order[session], record.elapsed_ms
        found.append(
            Stored(row, session, moment, digest, Chain(state), Verdict(verdict), bearer, received_ms, tagged, record)
        )
    return found


class _Before:
    """Finds the record before another in the device's stream alert, across sessions, where it is held."""

    def __init__(self, held: Sequence[Stored]) -> None:
        self._by_digest: dict[bytes, list[Stored]] = {}
        for each in held:
            self._by_digest.setdefault(each.digest[:_PREVIOUS_OCTETS], []).append(each)

    def walk(self, record: Stored) -> Iterator[Stored]:
        """Yield the records before one, the newest first, up to the first that is not held."""
        at = self._one(record)
        while at is not None:
            yield at
            at = self._one(at)

    def _one(self, record: Stored) -> Stored | None:
        sequence = record.record.sequence
        for each in self._by_digest.get(record.record.previous or b"", ()):
            if each.identity == (record.session, sequence - 1):
                return each
            # What was the last of an earlier session, only its digest says.
            if sequence == 1 and each.moment[0] < record.moment[0]:
                return each
        return None


def _escalations(identities: Mapping[Identity, Sequence[Stored]], before: _Before) -> list[list[Sequence[Stored]]]:
    """Group calls with those that escalate them. One whose call before is not held stands for itself."""
    alerts: dict[Identity, list[Sequence[Stored]]] = {}
    calls = [same for same in identities.values() if same[0].record.is_call]
    for same in sorted(calls, key=lambda each: (each[0].moment[0], each[0].record.sequence)):
        call = same[0]
        escalated = None
        if call.record.kind == records.ESCALATION:
            escalated = next((each for each in before.walk(call) if each.record.is_call), None)
        if escalated is None:
            alerts[call.identity] = [same]
        else:
            alerts[call.identity] = alerts[escalated.identity]
            alerts[call.identity].append(same)
    return list({id(groups): groups for groups in alerts.values()}.values())


def handlings(database: Database, device: bytes) -> list[Handling]:
    """Return what people did about a device's calls, in order. Raises apsw.Error."""
    rows = database.rows(
        "SELECT digest, closed, by, at_ms, seen FROM handling WHERE device = ? ORDER BY row", (device,)
    )
    return [Handling(digest, bool(closed), by, at_ms, seen) for digest, closed, by, at_ms, seen in rows]
