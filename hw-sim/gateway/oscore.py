"""OSCORE contexts by session (RFC 8613; docs/protocol.md, section 2), on the parts that aiocoap offers.

A context is derived on first sight of (kid, session), kept only once a message verified under it, and restored with
its replay window after a restart. It sends and receives nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass

from aiocoap import oscore as library

from bondmate_sim.gateway import credentials, devices, keys, records, sessions
from bondmate_sim.gateway.database import Database

WINDOW_SIZE = 64

_RESERVE = 32
"""So many sender numbers are reserved in one write: a reply or a push takes one, and is rare."""

_LOW = 4
"""With fewer in hand, the next message's commit reserves more."""

_OPTION_PIV = 0b0000_0111
_OPTION_KID = 0b0000_1000
_OPTION_ID_CONTEXT = 0b0001_0000
_MAX_PIV_OCTETS = 5


@dataclass(frozen=True, slots=True)
class OptionValue:
    """What a request's OSCORE option names: the kid and the session, which is the ID Context."""

    kid: bytes
    session: bytes


def parse_option(value: bytes | None) -> OptionValue | None:
    """Read the OSCORE option of a request (RFC 8613, section 6.1); None when it is not one that a device sends."""
    if not value:
        return None
    flags, piv_octets = value[0], value[0] & _OPTION_PIV
    if flags & ~_OPTION_PIV != _OPTION_KID | _OPTION_ID_CONTEXT or not 1 <= piv_octets <= _MAX_PIV_OCTETS:
        return None
    rest = value[1 + piv_octets :]
    end = 1 + records.SESSION_OCTETS
    if rest[:1] != bytes([records.SESSION_OCTETS]) or len(rest) != end + credentials.KID_OCTETS:
        return None
    return OptionValue(kid=rest[end:], session=rest[1:end])


class Channel(library.CanProtect, library.CanUnprotect, library.SecurityContextUtils):  # type: ignore[misc]
    """The OSCORE context of one session over one bearer, as aiocoap works with it."""

    def __init__(self, bearer: devices.Bearer, session: bytes, kept: sessions.Session | None) -> None:
        self.bearer = bearer
        self.session = session
        self.alg_aead = library.algorithms["AES-CCM-16-64-128"]
        self.hashfun = library.hashfunctions["sha256"]
        self.sender_id = keys.GATEWAY_ID
        self.recipient_id = bearer.kid
        self.id_context = session
        secret, salt = credentials.master_keys(bearer.channel_secret, bearer.device, bearer.name)
        self.derive_keys(salt, secret)
        self.authenticated_claims = [records.device_text(bearer.device)]
        # Windows are durable here, so the Echo exchange that would restore one is never needed.
        self.echo_recovery = None
        self.recipient_replay_window = library.ReplayWindow(WINDOW_SIZE, lambda: None)
        self.window = kept.window if kept else sessions.Window(0, 0)
        self.sender_reserved = kept.sender_reserved if kept else 0
        self.sender_sequence_number = self.sender_reserved

    @property
    def window(self) -> sessions.Window:
        """The replay window as it is now."""
        state = self.recipient_replay_window.persist()
        return sessions.Window(state["index"], state["bitfield"])

    @window.setter
    def window(self, window: sessions.Window) -> None:
        self.recipient_replay_window.initialize_from_persisted({"index": window.index, "bitfield": window.bits})

    def new_sequence_number(self) -> int:
        """Return the next sender number. Raises aiocoap's ContextUnavailable when none is reserved."""
        if self.sender_sequence_number >= self.sender_reserved:
            raise library.ContextUnavailable("no sender number is reserved in the database")
        return int(super().new_sequence_number())

    def post_seqnoincrease(self) -> None:
        """Do nothing: the number was reserved durably before."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one `keep` wrote."""

    channel: Channel
    sender_reserved: int
    closed: list[bytes]


class Contexts:
    """The open contexts in memory, backed by the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: dict[tuple[bytes, bytes], Channel] = {}

    def find(self, named: OptionValue) -> Channel | None:
        """Return the context that a request names, or None if it names no known kid or a session that is too old.

        A context of a new session is not kept by this: `keep` does, once the message verified. Raises apsw.Error.
        """
        channel = self._open.get((named.kid, named.session))
        if channel is not None:
            return channel
        bearer = devices.bearer(self._database, named.kid)
        if bearer is None:
            return None
        kept = sessions.find(self._database, named.kid, named.session)
        # Of a kid that is not the device's own yet no counter is known, and none decides anything.
        if kept is None and not sessions.may_begin(named.session, bearer.highest_counter):
            return None
        if kept is not None and not kept.open:
            return None
        return Channel(bearer, named.session, kept)

    def keep(self, channel: Channel, now_ms: int) -> Kept:
        """Write a context's window, and sender numbers in reserve, in the caller's transaction. Raises apsw.Error."""
        reserved = channel.sender_reserved
        if reserved - channel.sender_sequence_number < _LOW:
            reserved += _RESERVE
        closed = sessions.save(self._database, channel.bearer.kid, channel.session, channel.window, reserved, now_ms)
        return Kept(channel, reserved, closed)

    def committed(self, kept: Kept) -> None:
        """Take over into memory what `keep` wrote; call it after the commit."""
        kid = kept.channel.bearer.kid
        kept.channel.sender_reserved = kept.sender_reserved
        self._open[kid, kept.channel.session] = kept.channel
        for session in kept.closed:
            self._open.pop((kid, session), None)

    def forget(self, kids: Collection[bytes]) -> None:
        """Forget the contexts of kids that are known no more."""
        for named in [each for each in self._open if each[0] in kids]:
            del self._open[named]
