"""What may be done of an update now, and why not (docs/protocol.md, section 10). Pure, and without a state of its own.

An update is never more urgent than an alert. Whether one is genuine is not judged here, and the network not either: a
bundle only ever comes over the host's own, Wi-Fi or a cable, for the modem is the daemon's.
"""

from dataclasses import dataclass

LEAST_PERCENT = 30
"""Of the battery, to write a slot or to restart: both have to come to their end, and a shift may begin behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How the device is; None for what nobody knows."""

    known: bool
    """What an earlier session left is known: until then an alert may be open."""
    alert_open: bool
    undelivered: int
    """Records of the stream alert without a receipt."""
    in_use: bool
    """On duty, or a check-in is under way."""
    charging: bool | None
    percent: int | None


@dataclass(frozen=True, slots=True)
class Permission:
    """Why each step may not be taken now; None: it may."""

    fetch: str | None
    install: str | None
    restart: str | None

    @property
    def why_not(self) -> str | None:
        """What the first step that may not be taken waits for."""
        return self.fetch or self.install or self.restart


def permission(situation: Situation, *, at_once: bool) -> Permission:
    """What may be done now. `at_once`: the gateway has it so, off duty or not, and on battery (`when` of message 8)."""
    blocked = _urgent(situation) or (None if at_once else _policy(situation))
    low = _battery(situation)
    return Permission(
        fetch=blocked,
        install=blocked or low,
        restart=blocked or low,
    )


def _urgent(situation: Situation) -> str | None:
    """What comes before any update, whoever orders it."""
    if not situation.known:
        return "what an earlier session left is not known yet"
    if situation.alert_open:
        return "an alert is open"
    if situation.undelivered:
        return "a call is not delivered yet"
    return None


def _policy(situation: Situation) -> str | None:
    """What it waits for where the gateway leaves it to the device. A device that knows no battery has a supply."""
    if situation.in_use:
        return "the device is in use: it waits for the end of the shift"
    if situation.charging is False or (situation.charging is None and situation.percent is not None):
        return "the device is not charging"
    return None


def _battery(situation: Situation) -> str | None:
    if situation.percent is not None and situation.percent < LEAST_PERCENT:
        return f"the battery is at {situation.percent} %, and {LEAST_PERCENT} % are needed"
    return None
