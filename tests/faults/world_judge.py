"""Did a finger, a palm and the gateway agree? The judge of the fault tests with real processes. Pure.

A press counts as confirmed by what the palm felt alone: the pulse of *stored* began, so the commit must have returned.
A pulse that the daemon's death cut short counts too, if no pattern of anything earlier can have been in it. What the
device says of itself counts beside that, never instead.
"""

import datetime
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bondmate_sim.palm import Pulse

CONFIRMING_MS = 300.0, 650.0
"""A pulse of *stored* has 400 ms; of the other patterns the nearest have 220 and 800."""
QUIET_NS = 500_000_000
"""After so long without a pulse, no pattern goes on: the longest pause is 400 ms, between two patterns."""
CUT_NS = 100_000_000
"""A motor stops within this after its daemon's death, also on a busy machine."""


@dataclass(frozen=True, slots=True)
class Press:
    """The button went down: CLOCK_MONOTONIC, and UTC in milliseconds."""

    t_ns: int
    utc_ms: int


@dataclass(slots=True)
class Verdict:
    """What became of the presses; the lists must be empty."""

    presses: int
    confirmed: int
    lost: list[str] = field(default_factory=list)
    """Confirmed presses, and alerts that the device called stored, that the gateway does not have."""
    duplicated: list[str] = field(default_factory=list)
    """What the gateway has more than once."""
    wrong: list[str] = field(default_factory=list)
    """Whatever else must not be: invented alerts, chains that are not whole, unreadable records."""

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, nothing wrong."""
        return not (self.lost or self.duplicated or self.wrong)


def confirmed(presses: Sequence[Press], pulses: Sequence[Pulse], deaths_ns: Sequence[int], hold_s: float) -> set[int]:
    """The presses, by number, of which the palm felt that they are stored; `deaths_ns` is when the daemon was ended.

    Left out is what may be felt of an earlier press, given again after a restart: a pulse that began before the newest
    press can have been recognised, or in another life of the daemon.
    """
    pressed_ns = [press.t_ns for press in presses]
    found = set()
    for before, pulse in zip((None, *pulses), pulses, strict=False):
        press = bisect_right(pressed_ns, pulse.start_ns) - 1
        if press < 0 or pulse.start_ns < pressed_ns[press] + int(hold_s * 1e9):
            continue
        death = bisect_left(deaths_ns, pressed_ns[press])
        death_ns = deaths_ns[death] if death < len(deaths_ns) else math.inf
        if death_ns < pulse.start_ns:
            continue
        quiet = before is None or _end_ns(before) < pressed_ns[press] - QUIET_NS
        cut = death_ns <= _end_ns(pulse) < death_ns + CUT_NS
        if CONFIRMING_MS[0] <= pulse.length_ms < CONFIRMING_MS[1] or (cut and quiet):
            found.add(press)
    return found


def judge(
    presses: Sequence[Press], sure: set[int], alerts: Sequence[Mapping[str, Any]], said: Iterable[str] = ()
) -> Verdict:
    """Compare presses, in order, with the gateway's alerts; `sure` are the numbers of those that were confirmed.

    `said` are the ids of alerts that the device itself showed as stored. Each press must have been settled, by a pulse
    or by the end of the daemon, before the next was made: then an alert belongs to the last press before it was raised.
    """
    pressed_ms = [press.utc_ms for press in presses]
    timed = [alert for alert in alerts if alert["raised_at"] is not None]
    raised = [bisect_right(pressed_ms, unix_ms(alert["raised_at"])) - 1 for alert in timed]
    held = Counter(raised)
    identities = Counter(alert["alert_id"] for alert in alerts)

    verdict = Verdict(len(presses), len(sure))
    verdict.lost += [
        f"press {press} of {presses[press].utc_ms}, confirmed" for press in sorted(sure) if press not in held
    ]
    verdict.lost += [f"{identity}, which the device called stored" for identity in said if identity not in identities]
    verdict.duplicated += [f"press {press}: {number} alerts" for press, number in held.items() if number > 1]
    verdict.duplicated += [f"{identity}, {number} times" for identity, number in identities.items() if number > 1]
    verdict.duplicated += [f"{alert['alert_id']} has forks" for alert in alerts if alert["forks"]]
    verdict.wrong += [f"alert {number} is before any press" for number, press in enumerate(raised) if press < 0]
    verdict.wrong += [f"{alert['alert_id']} is without a time" for alert in alerts if alert["raised_at"] is None]
    for alert in alerts:
        if (alert["chain"], alert["verdict"], alert["store_lost"]) != ("whole", "held", False):
            verdict.wrong.append(f"{alert['alert_id']}: chain {alert['chain']}, {alert['verdict']}, {alert['why']}")
    return verdict


def _end_ns(pulse: Pulse) -> int:
    return pulse.start_ns + int(pulse.length_ms * 1e6)


def unix_ms(utc: str) -> int:
    """RFC 3339 as milliseconds since 1970."""
    # rounded: a datetime's float would lose the last millisecond
    return round(datetime.datetime.fromisoformat(utc).timestamp() * 1000)
