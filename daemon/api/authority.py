"""Who may do what over the local API: one table, and who is at the other end of a connection.

There are three sockets. Whoever may enter by `api.sock` may do everything; the officer's page enters by `console.sock`
and may do what the table says: somebody who took over its process gets no further than a thief who holds the device.
bondmate-updater enters by `updater.sock`, and learns of updates alone.
"""

import pwd
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

CONSOLE_USER, UPDATER_USER = "bondmate-console", "bondmate-updater"
_SO_PEERGROUPS = 59
"""Of Linux (asm-generic/socket.h); Python has no name for it. SO_PEERCRED tells the first group alone."""
_CREDENTIALS = struct.Struct("=iii")
_MAX_GROUPS_OCTETS = 1024
"""As much as Python asks a socket option for."""


class Authority(Enum):
    """What a socket gives to whoever may enter by it."""

    FULL = "full"
    CONSOLE = "console"
    UPDATER = "updater"


class Rule(Enum):
    """What the console may do."""

    FREELY = "freely"
    WITH_PIN = "with the officer's PIN"
    NEVER = "never"


CONSOLE_MAY: Mapping[tuple[str, str], Rule] = {
    ("GET", "/status"): Rule.FREELY,
    ("GET", "/queue"): Rule.FREELY,
    ("GET", "/alert"): Rule.FREELY,
    ("GET", "/duty"): Rule.FREELY,
    ("GET", "/gnss"): Rule.FREELY,
    ("GET", "/bearers"): Rule.FREELY,
    ("GET", "/privacy"): Rule.FREELY,
    ("GET", "/checkin"): Rule.FREELY,
    ("GET", "/inbox"): Rule.FREELY,
    ("GET", "/settings"): Rule.FREELY,
    ("GET", "/config"): Rule.FREELY,
    ("GET", "/events"): Rule.FREELY,
    ("POST", "/alert"): Rule.FREELY,
    ("POST", "/alert/cancel"): Rule.WITH_PIN,
    ("POST", "/duty"): Rule.WITH_PIN,
    ("POST", "/checkin"): Rule.FREELY,
    ("POST", "/inbox/{number}/read"): Rule.FREELY,
    ("POST", "/inbox/{number}/answer"): Rule.FREELY,
    ("PUT", "/settings"): Rule.WITH_PIN,
    # it takes whoever has a tool to begin one, or the button
    ("GET", "/selftest"): Rule.NEVER,
    ("POST", "/selftest"): Rule.NEVER,
    ("GET", "/update"): Rule.NEVER,
    ("POST", "/update"): Rule.NEVER,
}
"""All that there is. What is not here it may never, either."""
UPDATER_MAY = frozenset({("GET", "/update"), ("POST", "/update")})


def rule(authority: Authority, method: str, path: str) -> Rule:
    """What somebody with this authority may do; `path` is the route's, with `{number}` in it."""
    match authority:
        case Authority.FULL:
            return Rule.FREELY
        case Authority.UPDATER:
            return Rule.FREELY if (method, path) in UPDATER_MAY else Rule.NEVER
        case Authority.CONSOLE:
            return CONSOLE_MAY.get((method, path), Rule.NEVER)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who opened a connection, as the kernel says."""

    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Household:
    """Whom the device knows. `console_uid` and `updater_uid` are None where there is no such user."""

    own_uid: int
    group: int
    """Of the socket `api.sock`."""
    console_uid: int | None
    updater_uid: int | None = None


def may_enter(authority: Authority, household: Household, peer: Peer) -> bool:
    """Whether somebody gets in by the socket that gives this authority.

    The console and the updater get in by their own alone, whatever group somebody put them into.
    """
    if peer.uid in {0, household.own_uid}:
        return True
    match authority:
        case Authority.CONSOLE:
            return peer.uid == household.console_uid
        case Authority.UPDATER:
            return peer.uid == household.updater_uid
        case Authority.FULL:
            strangers = {household.console_uid, household.updater_uid}
            return peer.uid not in strangers and household.group in peer.groups


def peer_of(connection: socket.socket) -> Peer:
    """Who opened this connection over a Unix socket. OSError where it has gone."""
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(octets)
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_GROUPS_OCTETS)
    except OSError:  # too many, or an old kernel
        groups = b""
    others = (number for (number,) in struct.iter_unpack("=I", groups))
    return Peer(uid, frozenset({gid, *others}))


def uid_of(user: str) -> int | None:
    """The user's number; None where there is no such user."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
