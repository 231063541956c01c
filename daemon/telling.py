"""What became of mailbox messages, told in records; a session that ends in between leaves it to the next one."""

from collections.abc import Iterator
from typing import Any

import cbor2

from bondmate.mail import KeptMessage, MessageState
from bondmate.ports import Outbox
from bondmate.records import Kind
from bondmate.tracker import Recording

TOLD_AT_ONCE = 16
"""Message states in one record."""
MOST_OCTETS = 700
"""Of them, so that a submission has less than 1,024 (docs/protocol.md, section 5)."""


class StateTeller:
    """All methods run in the event loop."""

    def __init__(self, outbox: Outbox, record: Recording) -> None:
        """`record` makes a record, which is given to the store behind our back."""
        self._outbox = outbox
        self._record = record
        self._untold: list[KeptMessage] = []
        self._told: dict[int, MessageState] = {}
        """What the store does not know yet, by number."""

    def add(self, *messages: KeptMessage) -> None:
        """Something became of these."""
        self._untold += messages

    def tell(self) -> bool:
        """Make records of it; whether there was anything to tell."""
        untold, self._untold = self._untold, []
        states = [_state(each) for each in untold]
        for body in _bodies(states):
            self._record(Kind.MESSAGE_STATE, body=body)
        self._told |= {each.number: each.state for each in untold}
        return bool(untold)

    async def settle(self) -> None:
        """Let the store know what was told. Raises StoreError. To be called only when it has had time for the records.

        The other way round a power cut could leave a state that nobody tells any more; told twice it does no harm.
        """
        told = dict(self._told)
        if told:
            await self._outbox.mark_told(told)
        self._told = {number: state for number, state in self._told.items() if told.get(number) is not state}


def is_outcome(body: Any) -> bool:
    """Whether a message state's body tells what came of an order: the gateway waits for that, off duty too."""
    return any(state >= MessageState.CARRIED_OUT for _, state, *_ in body)


def _bodies(states: list[list[Any]]) -> Iterator[list[list[Any]]]:
    body: list[list[Any]] = []
    for state in states:
        if body and (len(body) == TOLD_AT_ONCE or len(cbor2.dumps([*body, state])) > MOST_OCTETS):
            yield body
            body = []
        body.append(state)
    if body:
        yield body


def _state(message: KeptMessage) -> list[Any]:
    answer = [] if message.answer is None else [message.answer]
    return [message.number, int(message.state), *answer]
