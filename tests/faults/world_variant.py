"""bondmated with one thing changed: run in place of the command, `python world_variant.py NAME --config FILE`.

The variants that break a promise are the negative controls of the fault tests: a judge that does not see them is blind.
Each changes one thing in the process's memory, from outside; nothing of the product knows of it.
"""

import asyncio
import dataclasses
import itertools
import sys
import time
from typing import Any
from unittest.mock import patch

import cbor2

from bondmate import app
from bondmate.core.delivery import DeliveryPolicy
from bondmate.records import SessionId
from bondmate.session import StartCounter
from bondmate.store.outbox import SqliteOutbox
from bondmate.transport import coap

BEHIND_S = 1.0
TIMES = 20.0


def commit_behind() -> None:
    """BROKEN: an alert counts as stored a second before its commit begins."""
    add = SqliteOutbox.add
    behind: set[asyncio.Task[None]] = set()

    async def late(self: Any, record: Any, *rest: Any) -> None:
        await asyncio.sleep(BEHIND_S)
        await add(self, record, *rest)

    async def add_behind(self: Any, record: Any, *rest: Any) -> None:
        task = asyncio.get_running_loop().create_task(late(self, record, *rest))
        behind.add(task)
        task.add_done_callback(behind.discard)

    patch.object(SqliteOutbox, "add", add_behind).start()


def same_session() -> None:
    """BROKEN: every start draws the same session."""
    draw = StartCounter.draw

    def draw_again(self: StartCounter, ahead: int = 1) -> SessionId:
        return SessionId(bytes.fromhex("000112345678")) if ahead == 1 else draw(self, ahead)

    patch.object(StartCounter, "draw", draw_again).start()


def one_exchange() -> None:
    """BROKEN: one submission at a time, whatever it carries."""
    send = coap.CoapBearer.send
    turn = asyncio.Lock()

    async def send_in_turn(self: coap.CoapBearer, submission: bytes) -> bytes:
        async with turn:
            return await send(self, submission)

    patch.object(coap.CoapBearer, "send", send_in_turn).start()


def unverified() -> None:
    """BROKEN: a receipt is believed whoever signed it."""

    def verify1(message: bytes, *_: Any) -> bytes:
        return bytes(cbor2.loads(message).value[2])

    patch("bondmate.receipts.verify1", verify1).start()


def hurried() -> None:
    """Not broken: all times of delivery and of its exchanges, divided by TIMES: an hour of bad network in minutes."""

    def divided(**given: float) -> DeliveryPolicy:
        policy = DeliveryPolicy(**given)
        times = [each.name for each in dataclasses.fields(policy) if each.name.endswith("_s")]
        return dataclasses.replace(policy, **{name: getattr(policy, name) / TIMES for name in times})

    patch("bondmate.armed_run.DeliveryPolicy", divided).start()
    coap.Tuning.ACK_TIMEOUT /= TIMES


def leaping() -> None:
    """Not broken, but the system's clock is: each reading is off by another number of years, back and forth."""
    now_ns, years = time.time_ns, itertools.cycle((0, 30, -25, 60, -40, 5))

    def leap_ns() -> int:
        return now_ns() + next(years) * 31_557_600 * 10**9

    patch("time.time_ns", leap_ns).start()


VARIANTS = {each.__name__: each for each in (commit_behind, same_session, one_exchange, unverified, hurried, leaping)}

if __name__ == "__main__":
    for name in sys.argv.pop(1).split("+"):
        VARIANTS[name]()
    app.command()
