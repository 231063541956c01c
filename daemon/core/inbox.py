"""What the gateway's answer to a fetch comes to (docs/protocol.md, section 8): what is taken, what it changes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from bondmate.errors import RemoteError
from bondmate.mail import Acknowledge, Close, ExerciseOrder, Message, MessageState, Unknown

BEHIND_S = 60.0
"""So far behind the gateway's clock a right one may be."""


@dataclass(frozen=True, slots=True)
class Take:
    """A message to be kept, with what it changes: digests of calls that a human saw or closed, or an exercise."""

    message: Message
    state: MessageState
    acknowledges: tuple[bytes, ...] = ()
    closes: tuple[bytes, ...] = ()
    exercise: ExerciseOrder | None = None


def judge(cursor: int, messages: Iterable[Message], utc_s: float | None, exercise_version: int) -> list[Take]:
    """What to take of verified messages, in their order; `cursor` is the number of the last that is kept.

    A repeat is left out. RemoteError for a gap: then nothing of them is to be taken. `exercise_version` is the highest
    that was ever taken. Digests may be of no call of this device: whoever marks calls looks for its own.
    """
    takes = []
    for message in messages:
        if message.number <= cursor:
            continue
        if message.number != cursor + 1:
            raise RemoteError(f"message {message.number} behind message {cursor}: what is between them never came")
        cursor = message.number
        take = _take(message, utc_s, exercise_version)
        if take.exercise is not None:
            exercise_version = take.exercise.version
        takes.append(take)
    return takes


def _take(message: Message, utc_s: float | None, exercise_version: int) -> Take:
    match message.content:
        case Acknowledge(digests):
            return Take(message, MessageState.TAKEN, acknowledges=digests)
        case Close(digests):
            return Take(message, MessageState.TAKEN, closes=digests)
        case ExerciseOrder() as order if order.version > exercise_version and _may_begin(order, message, utc_s):
            return Take(message, MessageState.TAKEN, exercise=_left_of(order, message, utc_s))
        case ExerciseOrder() | Unknown():
            return Take(message, MessageState.WITHOUT_EFFECT)
        case _:
            expired = is_expired(message.expires_s, utc_s)
            return Take(message, MessageState.WITHOUT_EFFECT if expired else MessageState.TAKEN)


def is_expired(expires_s: int | None, utc_s: float | None) -> bool:
    """Whether a message is over. Where UTC is unknown, none is."""
    return expires_s is not None and utc_s is not None and utc_s >= expires_s


def _left_of(order: ExerciseOrder, message: Message, utc_s: float | None) -> ExerciseOrder:
    """It ends when whoever ordered it thinks so, however long the message lay in the mailbox."""
    passed_s = 0 if utc_s is None else max(0, round(utc_s - message.time_s))
    return ExerciseOrder(order.version, max(0, order.seconds - passed_s))


def _may_begin(order: ExerciseOrder, message: Message, utc_s: float | None) -> bool:
    """Whether an order may have effect, by its time.

    That an exercise is over may be said at any time: then calls are real. One that begins has to expire: a device that
    lost what it knew could begin an old one again.
    """
    if order.seconds == 0:
        return True
    if utc_s is None or message.expires_s is None or is_expired(message.expires_s, utc_s):
        return False
    # a clock that is behind the message was not put right since the device was switched on
    return utc_s >= message.time_s - BEHIND_S
