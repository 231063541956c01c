"""What each bearer is used for, and how soon. Pure; how records take turns on it is delivery's business."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bondmate.records import Stream

AT_ONCE: Mapping[Stream, float] = dict.fromkeys(Stream, 0.0)
SMS_ATTEMPT_S = 130.0
"""A network may take two minutes to accept a message (3GPP TS 27.005, 3.5.1, leaves it open; Quectel's manuals say
120 s)."""
AGAIN_S = 60.0
"""A message that got no receipt is sent again after this, and each time after twice as long: each costs, and the
message centre keeps those that it could not deliver."""
AGAIN_CAP_S = 900.0
SMS_REST_S = 15.0
"""After a message that the network did not take, the modem's line belongs to its sockets for so long: while a network
thinks about one, nothing else can be said."""
SMS_POSITION_S = 120.0
"""So often at most, while an alert is open, one position goes by SMS."""
LTE_POSITION_S, LTE_STATE_S, LTE_REST_S = 4.0, 30.0, 120.0
"""How long records wait for the bearer that costs nothing before they go over LTE: positions, what concerns alerts, and
what nobody waits for. Alerts do not wait: they race."""
SMS_POSITION_AFTER_S = 2 * LTE_POSITION_S
"""How long at least a position waits before it goes by SMS, however soon alerts do: LTE, which it may not take before,
has as long for it as what costs nothing had."""


@dataclass(frozen=True, slots=True)
class Route:
    """A bearer, by name, and what may go over it."""

    name: str
    after_s: Mapping[Stream, float] = field(default_factory=lambda: AT_ONCE)
    """How long a record of a stream is queued before it may; a stream that is not named never may."""
    attempt_s: float | None = None
    """How long an attempt may take, where that is not as usual."""
    answers: bool = True
    """Whether the gateway's answer comes as the end of the attempt. Otherwise the network takes what is sent, one
    record at a time, which proves nothing, and a receipt comes by itself, or not."""
    pace_s: Mapping[Stream, float] = field(default_factory=dict)
    """At most one record of a stream in so many seconds."""
    only_in_alert: frozenset[Stream] = frozenset()
    """Streams that may only while an alert is open."""
    rest_s: float | None = None
    """How long all of it rests after a failure; None: only the place that failed, as usual."""


def over_ip() -> Route:
    """Costs nothing: everything goes over it, at once."""
    return Route("ip")


def over_lte() -> Route:
    """A radio of its own, with a bill: alerts race, the rest waits for what costs nothing."""
    rest = dict.fromkeys(Stream, LTE_REST_S)
    return Route("lte", {**rest, Stream.ALERT: 0.0, Stream.POSITION: LTE_POSITION_S, Stream.STATE: LTE_STATE_S})


def over_sms(after_s: float) -> Route:
    """Alerts alone, when nothing else brought a receipt within `after_s`; and now and then where the officer is."""
    return Route(
        "sms",
        {Stream.ALERT: after_s, Stream.POSITION: max(after_s, SMS_POSITION_AFTER_S)},
        attempt_s=SMS_ATTEMPT_S,
        answers=False,
        pace_s={Stream.POSITION: SMS_POSITION_S},
        only_in_alert=frozenset({Stream.POSITION}),
        rest_s=SMS_REST_S,
    )


def again_s(times: int) -> float:
    """How long a record is not sent again over a route without answers that took it so many times."""
    return float(min(AGAIN_S * 2 ** min(times - 1, 16), AGAIN_CAP_S))


class Gates:
    """When each route may be taken next, whatever place there is on it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = {route.name: route for route in routes}
        """In order of preference."""
        self.alert_open = False
        self._paced_s: dict[tuple[str, Stream], float] = {}
        """When the next record of a stream may go over a route that takes them at a pace."""
        self._rest_s: dict[str, float] = {}
        """Until when a route rests."""

    def opens_s(self, name: str, stream: Stream, since_s: float) -> float:
        """When a record that is queued since then may go that way; -inf for always, inf for never."""
        route = self.routes[name]
        after_s = route.after_s.get(stream)
        if after_s is None or (stream in route.only_in_alert and not self.alert_open):
            return math.inf
        paced_s, rest_s = self._paced_s.get((name, stream), -math.inf), self._rest_s.get(name, -math.inf)
        return max(since_s + after_s, paced_s, rest_s)

    def taken(self, name: str, stream: Stream, now: float) -> None:
        """A record goes that way."""
        if (pace_s := self.routes[name].pace_s.get(stream)) is not None:
            self._paced_s[name, stream] = now + pace_s

    def reachable(self, name: str) -> None:
        """It works again."""
        self._rest_s.pop(name, None)

    def failed(self, name: str, now: float) -> None:
        """It failed one."""
        if (rest_s := self.routes[name].rest_s) is not None:
            self._rest_s[name] = now + rest_s
