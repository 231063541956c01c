"""How an update goes through devices: in batches, no two for one device, and stopped when too many fail.

Pure: what is known of the devices and `now_ms` (UTC in ms) in, whom to tell next out. The devices in it are those that
may get it; who is revoked, or to be wiped, is left out by the caller.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class DeviceState(enum.StrEnum):
    """How far a device is."""

    WAITING = "waiting"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    OVERDUE = "overdue"
    """It did not say in time what came of it. It may still."""


_ENDED = (DeviceState.DONE, DeviceState.FAILED, DeviceState.OVERDUE)
_BAD = (DeviceState.FAILED, DeviceState.OVERDUE)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was ordered: so many devices at a time, when one is overdue, and how many of a hundred may fail."""

    batch: int
    overdue_ms: int
    tolerated_percent: int


@dataclass(frozen=True, slots=True)
class Member:
    """A device: when it was told (UTC in ms), and what it said came of it.

    `busy` says that another update is under way to it, `pardoned` that it had failed when somebody let the rollout go
    on, and counts no more.
    """

    device: bytes
    sent_ms: int | None = None
    done: bool = False
    failed: bool = False
    busy: bool = False
    pardoned: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Who is told now; or why all of it is stopped."""

    send: tuple[bytes, ...] = ()
    stop: str | None = None


def state(plan: Plan, member: Member, now_ms: int) -> DeviceState:
    """Return how far a device is."""
    if member.sent_ms is None:
        return DeviceState.WAITING
    if member.done:
        return DeviceState.DONE
    if member.failed:
        return DeviceState.FAILED
    return DeviceState.OVERDUE if now_ms - member.sent_ms >= plan.overdue_ms else DeviceState.SENT


def is_over(plan: Plan, members: Sequence[Member], now_ms: int) -> bool:
    """Say whether nothing is left to be told or heard in time."""
    return all(state(plan, each, now_ms) in _ENDED for each in members)


def is_bad(plan: Plan, member: Member, now_ms: int) -> bool:
    """Say whether a device counts against going on."""
    return state(plan, member, now_ms) in _BAD


def step(plan: Plan, members: Sequence[Member], now_ms: int) -> Step:
    """Return what to do now with a rollout that goes on; `members` are in the order in which they get it.

    A batch begins when none of the one before is under way any more.
    """
    states = [state(plan, each, now_ms) for each in members]
    counted = [each for each in members if each.sent_ms is not None and not each.pardoned]
    bad = sum(is_bad(plan, each, now_ms) for each in counted)
    if bad > _tolerated(plan, len(counted)):
        return Step(
            stop=f"{bad} of {len(counted)} devices that were told failed or are overdue; more than"
            f" {plan.tolerated_percent} % is too many"
        )
    if DeviceState.SENT in states:
        return Step()
    waiting = [
        each.device for each, its in zip(members, states, strict=True) if its is DeviceState.WAITING and not each.busy
    ]
    return Step(tuple(waiting[: plan.batch]))


def _tolerated(plan: Plan, told: int) -> int:
    # One device may be broken by itself: of the first few, one would else be more than any share.
    return max(1, told * plan.tolerated_percent // 100) if plan.tolerated_percent else 0
