"""The self-test: which checks there are, in which order they are told, how long each may take, and what came of it.

Pure: `now` is the monotonic clock in s. How a part is looked at is not decided here (see checks): whoever does tells
what was found with `found`, and `late` names those that have to say now how it stands. Checks that need nobody run all
at once; those that need a person come one after the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

TEXT_OCTETS = 40
"""So much of a text stands in the acceptance: with all checks, it fits one submission of 1,024 octets."""
AGAIN = "run the self-test again"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a check. `ok` is None where there is nothing of the kind; `next` says what to do where it failed."""

    ok: bool | None
    text: str
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    name: str
    within_s: float
    """So long it may take, from its begin."""
    waits_for: str
    """What is awaited meanwhile, in words."""
    after: str | None = None
    """It begins when that one is done."""
    needs: bool = False
    """Where that one did not pass, there is nothing to look at here: the same becomes of this one."""


CHECKS = (
    # a receiver whose speed is looked for is heard within 20 s (core.reception)
    Check("gnss", 30.0, "sentences of the receiver"),
    # a cold start takes about half a minute under an open sky
    Check("fix", 120.0, "a fix; the device has to see the sky", after="gnss", needs=True),
    # from the power supply to its first answer a module takes 15 s; the ladder's first steps come within a minute
    Check("modem", 60.0, "the modem to answer"),
    Check("sim", 20.0, "the SIM", after="modem", needs=True),
    Check("registration", 60.0, "a network", after="sim", needs=True),
    Check("button", 60.0, "a press: press the button once, briefly"),
    Check("led", 15.0, "the LED to flash three times, twice: look at it", after="button"),
    Check("vibration", 15.0, "two very long vibrations: feel them", after="led"),
    Check("battery", 10.0, "what the battery says"),
    Check("storage", 15.0, "a write to the disk"),
    # fixes have to agree for some seconds before they tell the time (core.clock)
    Check("clock", 20.0, "the time", after="fix"),
    Check("keys", 10.0, "a signature"),
    # one exchange, with its retransmissions, gives up after 21 s at the latest
    Check("gateway-ip", 30.0, "an answer of the gateway over ip"),
    Check("gateway-lte", 30.0, "an answer of the gateway over lte", after="registration", needs=True),
    Check("gateway-sms", 10.0, "what is known of sms", after="registration", needs=True),
)
"""In the order in which they are told. Each stands behind the one that it waits for."""


@dataclass(frozen=True, slots=True)
class Row:
    """How a check stands. `verdict` is None until it is done."""

    check: Check
    began: bool
    verdict: Verdict | None


@dataclass(slots=True)
class _Under:
    """A check in this test."""

    check: Check
    due_s: float = math.inf
    """When it has to be done; inf before it began."""
    verdict: Verdict | None = None


class SelfTest:
    """One test, from its begin to its end."""

    def __init__(self, checks: Sequence[Check] = CHECKS) -> None:
        self._all = {check.name: _Under(check) for check in checks}
        self.cancelled: str | None = None
        """Why it was ended before its end, if it was."""

    def begin(self, now: float) -> list[str]:
        """Those that begin now."""
        names = []
        for each in self._all.values():
            if each.verdict is not None or each.due_s < math.inf:
                continue
            before = None if each.check.after is None else self._all[each.check.after]
            if before is not None and before.verdict is None:
                continue
            if before is not None and each.check.needs and not before.verdict.ok:  # type: ignore[union-attr]  # looked at
                each.verdict = _like(before)
                continue
            each.due_s = now + each.check.within_s
            names.append(each.check.name)
        return names

    def late(self, now: float) -> list[str]:
        """Those whose time is over, and that are not done."""
        return [name for name, each in self._all.items() if each.verdict is None and each.due_s <= now]

    def next_due(self) -> float | None:
        """When `late` names the next one; None when none is under way."""
        due_s = min((each.due_s for each in self._all.values() if each.verdict is None), default=math.inf)
        return None if due_s == math.inf else due_s

    def found(self, name: str, verdict: Verdict) -> None:
        """What came of a check. The first word counts."""
        each = self._all[name]
        each.verdict = each.verdict or verdict

    def cancel(self, why: str) -> None:
        """End it now. What was not done yet is not passed."""
        self.cancelled = why
        for each in self._all.values():
            each.verdict = each.verdict or Verdict(False, f"not done: {why}", AGAIN)

    @property
    def is_over(self) -> bool:
        """Whether every check is done."""
        return all(each.verdict is not None for each in self._all.values())

    @property
    def passed(self) -> bool:
        """Whether all is well: every check that there was something to look at for has passed."""
        return all(each.verdict is not None and each.verdict.ok is not False for each in self._all.values())

    @property
    def is_acceptance(self) -> bool:
        """Whether it is worth a record: it ran to its end, and somebody was there who pressed the button."""
        pressed = self._all["button"].verdict
        return self.is_over and self.cancelled is None and pressed is not None and pressed.ok is True

    def rows(self) -> list[Row]:
        """How each check stands, in order."""
        return [Row(each.check, each.due_s < math.inf, each.verdict) for each in self._all.values()]

    def acceptance(self) -> list[list[str | bool | None]]:
        """The checks of the record `acceptance` (docs/protocol.md, section 3)."""
        return [
            [name, each.verdict.ok, shortened(each.verdict.text)]
            for name, each in self._all.items()
            if each.verdict is not None
        ]


def shortened(text: str, most: int = TEXT_OCTETS) -> str:
    """The text in at most so many octets of UTF-8; an ellipsis stands for what is cut off."""
    octets = text.encode()
    if len(octets) <= most:
        return text
    return octets[: most - len("…".encode())].decode(errors="ignore") + "…"


def _like(before: _Under) -> Verdict:
    """What becomes of a check that needs one that did not pass."""
    name, verdict = before.check.name, before.verdict
    if verdict is not None and verdict.ok is None:
        return Verdict(None, verdict.text)
    return Verdict(False, f"not looked at, for {name} failed", f"see {name}")
