"""What is being collected right now, why, how precisely and until when: in plain words, for whoever asks.

Says what the cores do (core/tracking); docs/privacy.md says by which law, and which test shows it.
"""

from dataclasses import dataclass
from typing import Any

from bondmate.core.tracking import EARLIER, MOVED_M, TrackingPolicy
from bondmate.records import utc_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What there is to say it of."""

    on_duty: bool
    alert_open: bool
    shift_ends_ms: int | None
    """UTC when the shift ends by itself; None off duty, and while UTC is unknown."""
    is_dated: bool
    """Whether a presence can be recorded: it needs a date, and a shift that is known to last."""
    fix_known: bool
    """Whether the device knows a position now."""
    policy: TrackingPolicy
    keep_delivered_s: float
    waiting: dict[str, int]
    """Records without a receipt, by the names of their streams."""


def report(situation: Situation) -> dict[str, Any]:
    """As in `bondmatectl privacy --json`."""
    policy, waiting = situation.policy, situation.waiting
    return {
        "duty": "on" if situation.on_duty else "off",
        "alert_open": situation.alert_open,
        "collected": [*_alert(situation), *_shift(situation)],
        "if_pressed": (
            f"A press sends at once where you are, as precisely as the receiver knows it, and the last {EARLIER}"
            " positions before it."
            if situation.fix_known
            else "A press goes at once, without a position: none is known now. Where you are follows, as precisely as"
            " the receiver knows it, when it does."
        )
        + f" Then your position goes every {policy.alert_interval_s:g} s and whenever it changed by {MOVED_M:g} m,"
        " until the alert is closed.",
        "waiting": {stream: waiting.get(stream, 0) for stream in ("alert", "position", "presence")},
        "kept": (
            "Positions and presences are erased within ten minutes of the gateway's receipt, the last position of an"
            f" open alert when that is closed; all else {situation.keep_delivered_s / 3600:g} h after its receipt,"
            " the newest alert not before it is closed. An alert has the position that it was raised with. Presences"
            " not delivered when the shift ends are dropped. The last positions are in the device's memory on duty and"
            " while an alert is open, and nowhere else; whoever may use its local interface can see the latest."
        ),
    }


def _alert(situation: Situation) -> list[dict[str, Any]]:
    if not situation.alert_open:
        return []
    policy = situation.policy
    return [
        {
            "what": "position",
            "text": f"your position, every {policy.alert_interval_s:g} s and whenever it changed by {MOVED_M:g} m",
            "why": "an alert is open: whoever comes to help has to find you",
            "precision_m": None,
            "precision": "as precise as the receiver knows it",
            "every_s": policy.alert_interval_s,
            "until": None,
            "until_text": "the alert is closed",
        }
    ]


def _shift(situation: Situation) -> list[dict[str, Any]]:
    # while an alert is open its positions say more
    if not situation.on_duty or situation.alert_open:
        return []
    policy, until = situation.policy, utc_text(situation.shift_ends_ms)
    return [
        {
            "what": "presence",
            "text": f"roughly where you are, every {policy.presence_interval_s:g} s"
            + ("" if situation.is_dated else ", as soon as the date is known: until then nothing"),
            "why": "you are on duty: the control room has to know who is near",
            "precision_m": round(policy.cell_m),
            "precision": f"a cell of {policy.cell_m:.0f} m from north to south, and at most that from east to west",
            "every_s": policy.presence_interval_s,
            "until": until,
            "until_text": f"you go off duty, at {until} at the latest"
            if until
            else "you go off duty, or the shift ends by itself",
        }
    ]
