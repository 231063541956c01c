"""A mailbox on a desk: the real store on a real disk, and around it a gateway and a listener that obey the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2

from bondmate.errors import LinkError
from bondmate.faults import Faults
from bondmate.letters import Letter, MailboxListener
from bondmate.mailbox import EXERCISE, Mailbox, MailboxParts
from bondmate.records import Kind, Moment, SessionId
from bondmate.store.outbox import SqliteOutbox
from tests.desk import SESSION, Disk, outbox_on
from tests.letters import DEVICE, KEYS, NOW_S, message
from tests.virtual import run

ANSWER_OCTETS = 1024
DEADLINE_S = 0.5


@dataclass
class Line:
    """Implements ports.Bearer: answers a fetch as the test says, by default from the gateway's mailbox."""

    gateway: "Gateway"
    name: str = "ip"
    is_scarce: bool = False
    session: SessionId = SESSION
    why_not: str | None = None
    last_success_s: float | None = None
    answer: Callable[[int], Awaitable[bytes]] | None = None
    asked: list[tuple[float, int]] = field(default_factory=list)

    async def send(self, submission: bytes) -> bytes:
        raise LinkError(f"{len(submission)} octets are not for this test")

    async def fetch(self, cursor: int) -> bytes:
        self.asked.append((asyncio.get_running_loop().time(), cursor))
        if self.answer is not None:
            return await self.answer(cursor)
        return self.gateway.behind(cursor)


@dataclass
class Gateway:
    """What it has for the device, from number 1 on."""

    messages: list[bytes] = field(default_factory=list)

    def says(self, type_: int, body: Any = None, **changed: Any) -> int:
        """It has one more message; its number."""
        number = len(self.messages) + 1
        self.messages.append(message(number, type_, body, **changed))
        return number

    def behind(self, cursor: int) -> bytes:
        """As many as fit, at least one if there is any."""
        chosen: list[bytes] = []
        for each in self.messages[cursor:]:
            if chosen and len(cbor2.dumps([*chosen, each])) > ANSWER_OCTETS:
                break
            chosen.append(each)
        return cbor2.dumps(chosen)


@dataclass
class Ears:
    """What the device was told, in its order; and its exercise."""

    heard: list[tuple[Any, ...]] = field(default_factory=list)
    version: int = 0
    records: list[list[Any]] = field(default_factory=list)
    """The states that records were made of."""
    changes: int = 0

    def listener(self) -> MailboxListener:
        return MailboxListener(
            acknowledged=lambda digest, by: self.heard.append(("seen", digest, by)),
            closed=lambda digest, by: self.heard.append(("closed", digest, by)),
            exercise_version=lambda: self.version,
            exercise_state=lambda version, seconds: b"%d for %d" % (version, seconds),
            exercise=self.exercise,
            arrived=self.arrived,
            ordered=lambda: self.heard.append(("ordered",)),
        )

    def exercise(self, version: int, seconds: int) -> None:
        self.version = version
        self.heard.append(("exercise", version, seconds))

    def arrived(self, letter: Letter) -> None:
        self.heard.append(("arrived", letter.kept.number))

    def record(self, kind: Kind, fix: bytes | None = None, body: Any = None) -> None:
        assert (kind, fix) == (Kind.MESSAGE_STATE, None)
        assert 1 <= len(body) <= 16
        self.records.append(body)

    @property
    def states(self) -> list[list[Any]]:
        return [state for record in self.records for state in record]

    def change(self) -> None:
        self.changes += 1


class Desk:
    """One session of a mailbox on the store in a directory, driven by hand or by its own loop."""

    def __init__(self, directory: Path, gateway: Gateway | None = None, *, lines: tuple[str, ...] = ("ip",)) -> None:
        self.gateway = gateway or Gateway()
        self.disk = Disk()
        self.outbox: SqliteOutbox = outbox_on(directory, self.disk)
        self.lines = [Line(self.gateway, name) for name in lines]
        self.ears = Ears()
        self.faults = Faults()
        self.utc_s: float | None = NOW_S
        self.mailbox = Mailbox(
            MailboxParts(
                outbox=self.outbox,
                device=DEVICE,
                gateway_keys=KEYS,
                bearers=self.lines,
                faults=self.faults,
                moment=self.moment,
                record=self.ears.record,
                deadline_s=DEADLINE_S,
            ),
            self.ears.listener(),
            self.ears.change,
        )

    async def begin(self) -> None:
        """Open the store, as the daemon does."""
        await self.outbox.open()
        state = await self.outbox.kept(EXERCISE)
        self.ears.version = 0 if state is None else int(state.split()[0])

    def moment(self) -> Moment:
        lifetime_s = asyncio.get_running_loop().time()
        return Moment(lifetime_s, None if self.utc_s is None else round(self.utc_s * 1000))

    async def fetch(self) -> None:
        """Fetch once, now."""
        await self.mailbox._fetch()

    @property
    def line(self) -> Line:
        return self.lines[0]

    async def end(self) -> None:
        await self.outbox.close()


@asynccontextmanager
async def desk(directory: Path, gateway: Gateway | None = None, **settings: Any) -> AsyncIterator[Desk]:
    made = Desk(directory, gateway, **settings)
    await made.begin()
    try:
        yield made
    finally:
        made.disk.failure, made.disk.takes_s = None, 0.0
        await made.end()


@asynccontextmanager
async def running(made: Desk) -> AsyncIterator[None]:
    made.mailbox.regime(on_duty=True, alert_open=False, acknowledged=False)
    task = asyncio.ensure_future(made.mailbox.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def on_desk(work: Callable[[Desk], Any], directory: Path, gateway: Gateway | None = None, **settings: Any) -> None:
    async def main() -> None:
        async with desk(directory, gateway, **settings) as made:
            await work(made)

    run(main())
