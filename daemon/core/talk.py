"""A conversation with a receiver: one question at a time, each with its deadline and its tries. Pure.

What is asked, and what the answers mean, is receivers' business: a script yields questions and is sent the answers.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

ANSWER_S = 1.0
"""Receivers answer between two epochs; the slowest that the manuals mention take half a second."""
STALE_S = 1.5 * ANSWER_S
"""Whoever was asked twice may answer twice. So long nothing is asked, and what comes is the answer to nothing: u-blox's
acknowledgements say only of which kind the question was."""
TRIES = 3
"""An answer gets lost like any octets of a line; what is asked twice does no harm."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said to a question: whether it did what was asked, and its words."""

    done: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question. `understand` tells what a message of the receiver means for it, None: nothing.

    Without `understand` no answer is expected; the next question waits for `pause_s`.
    """

    octets: bytes
    understand: Callable[[bytes], Answer | None] | None
    pause_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What came of a conversation so far."""

    identity: str | None = None
    """What the receiver says that it is."""
    problems: list[str] = field(default_factory=list)
    """What it refused, or did not answer, in words."""


Script = Generator[Ask, Answer | None, None]
"""Yields questions; is sent an answer, or None where none came."""


class Talk:
    """Runs a script."""

    def __init__(self, script: Script, now: float) -> None:
        self._script = script
        self._ask: Ask | None = None
        """The question that is open; None when the conversation is over."""
        self._due_s = 0.0
        """When it is asked, asked again, or given up."""
        self._tries = 0
        """How often it was asked."""
        self._octets = b""
        """What is to be sent."""
        self._begun = False
        self._go_on(None, now)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to ask."""
        return self._ask is None

    def heard(self, message: bytes, now: float) -> None:
        """A message of the receiver: a sentence or a frame."""
        if self._ask is not None and self._ask.understand is not None and self._tries > 0:
            answer = self._ask.understand(message)
            if answer is not None:
                self._go_on(answer, now)

    def poll(self, now: float) -> None:
        """Let time pass."""
        if self._ask is None or now < self._due_s:
            return
        if self._tries >= (1 if self._ask.understand is None else TRIES):
            self._go_on(None, now)
        else:
            self._send(self._ask, now)

    def next_due(self) -> float | None:
        """When `poll` has something to do, if the receiver says nothing before."""
        return None if self._ask is None else self._due_s

    def take(self) -> bytes:
        """What is to be sent now."""
        octets, self._octets = self._octets, b""
        return octets

    def _go_on(self, answer: Answer | None, now: float) -> None:
        try:
            self._ask = self._script.send(answer) if self._begun else next(self._script)
        except StopIteration:
            self._ask = None
            return
        finally:
            self._begun = True
        asked_again, self._tries = self._tries > 1, 0
        if asked_again and answer is not None:
            self._due_s = now + STALE_S
        else:
            self._send(self._ask, now)

    def _send(self, ask: Ask, now: float) -> None:
        self._tries += 1
        self._octets += ask.octets
        self._due_s = now + (ANSWER_S if ask.understand is not None else ask.pause_s)
