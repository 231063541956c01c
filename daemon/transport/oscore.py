"""One session's OSCORE security context (RFC 8613), shared by every socket of a bearer.

It lives in memory alone: the session id is the ID Context, so the sender numbers of every start begin at 0 under fresh
keys (docs/protocol.md, section 2). Nothing is persisted, so nothing can be restored wrongly.
"""

from aiocoap import oscore
from aiocoap.credentials import CredentialsMap

from bondmate.credentials import ChannelKeys
from bondmate.records import SessionId

REPLAY_WINDOW = 64


class SessionContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]  # untyped
    """Protects what the device sends and verifies what the gateway sends, for one session and bearer."""

    authenticated_claims = ("gateway",)
    echo_recovery = None

    def __init__(self, keys: ChannelKeys, session: SessionId) -> None:
        self.alg_aead = oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id = keys.kid
        self.recipient_id = keys.gateway_id
        self.id_context = session.octets
        self.derive_keys(keys.master_salt, keys.master_secret)
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(REPLAY_WINDOW, lambda: None)
        self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self) -> None:
        """Nothing to persist: no later run ever uses these keys."""


class OnlyGateway(CredentialsMap):  # type: ignore[misc]  # untyped
    """Finds the one context under which the gateway's own requests are verified."""

    def __init__(self, context: SessionContext) -> None:
        super().__init__()
        self._context = context

    def find_oscore(self, unprotected: dict[int, bytes]) -> SessionContext:
        """The context for a request's kid and ID Context; KeyError for anybody but the gateway in this session."""
        kid, session = unprotected.get(oscore.COSE_KID), unprotected.get(oscore.COSE_KID_CONTEXT)
        if kid != self._context.recipient_id or session not in (None, self._context.id_context):
            raise KeyError(kid)
        return self._context
