"""The one way in: unprotect a message, hand it to the intake, commit (docs/protocol.md, sections 4 and 5).

Every bearer's face hands its messages to this, and makes its own answer of what comes back. One message is handled from
start to end without a pause, so that window, record and answer cannot interleave with another. It decides no verdict.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

import aiocoap
import apsw
from aiocoap import error as coap_error
from aiocoap import oscore as library
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import intake, keys, oscore, receipts
from bondmate_sim.gateway.database import Database

MAX_SUBMISSION_OCTETS = 1024
_PATH_RECORDS = ("r",)

_log = logging.getLogger("bondmate.gateway")


class RefusedError(Exception):
    """A message is not authentic; nothing of it is kept."""


class ReplayedError(RefusedError):
    """A message's number was seen before, or is too old to tell."""


class UnstoredError(Exception):
    """The database failed, so nothing of a message is kept. It may come again, also as the same octets.

    `channel` and `request_id` are what an answer can be protected with; None when not even the kid could be looked up.
    """

    def __init__(self, why: str, channel: oscore.Channel | None = None, request_id: Any = None) -> None:
        super().__init__(why)
        self.channel = channel
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Taken:
    """An authentic message, committed, and the reply to it, not yet protected.

    `outcome` is None when it was no submission; otherwise the reply's payload is the receipt.
    """

    channel: oscore.Channel
    request_id: Any
    reply: Any
    outcome: intake.Outcome | None


class Inbox:
    """Takes messages of all bearers into one database."""

    def __init__(self, database: Database, signing_key: ec.EllipticCurvePrivateKey) -> None:
        self._database = database
        self._signing_key = signing_key
        self._contexts = oscore.Contexts(database)

    def take(self, request: Any, sender: str) -> Taken:
        """Take one protected CoAP request, as aiocoap decoded it; `sender` is for the log.

        Raises RefusedError, UnstoredError.
        """
        named = oscore.parse_option(request.opt.oscore)
        if named is None or request.code not in (aiocoap.POST, aiocoap.FETCH):
            raise RefusedError("it is not protected with OSCORE as a device does it")
        now = time.time()
        try:
            channel = self._contexts.find(named)
        except apsw.Error as error:
            _log.error("cannot look up the kid of %s: %s; check the disk of the data directory", sender, error)
            raise UnstoredError(str(error)) from error
        if channel is None:
            raise RefusedError(f"kid {named.kid.hex()} is unknown, or its session is too old")
        window = channel.window
        try:
            inner, request_id = channel.unprotect(request)
        except library.ReplayError as error:
            raise ReplayedError(f"it is a replay under kid {named.kid.hex()}, or too late: {error}") from error
        except (library.ProtectionInvalid, coap_error.UnparsableMessage, UnicodeDecodeError) as error:
            raise RefusedError(f"it does not verify under kid {named.kid.hex()}: {error}") from error
        try:
            with self._database.transaction():
                kept = self._contexts.keep(channel, int(now * 1000))
                reply, outcome = self._serve(inner, channel, now)
        except apsw.Error as error:
            # As after a restart: what was not committed was not seen.
            channel.window = window
            _log.error("cannot store a message of %s: %s; check the disk of the data directory", sender, error)
            raise UnstoredError(str(error), channel, request_id) from error
        self._contexts.committed(kept)
        if outcome is not None:
            _report(outcome)
        return Taken(channel, request_id, reply, outcome)

    def _serve(self, request: Any, channel: oscore.Channel, now: float) -> tuple[Any, intake.Outcome | None]:
        if request.opt.uri_path != _PATH_RECORDS:
            return aiocoap.Message(code=aiocoap.NOT_FOUND), None
        if request.code != aiocoap.POST:
            return aiocoap.Message(code=aiocoap.METHOD_NOT_ALLOWED), None
        if request.opt.block1 is not None or len(request.payload) > MAX_SUBMISSION_OCTETS:
            return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_TOO_LARGE), None
        outcome = intake.take(self._database, channel.bearer, channel.session, request.payload, int(now * 1000))
        if outcome is None:
            return aiocoap.Message(code=aiocoap.BAD_REQUEST), None
        receipt = receipts.receipt(channel.bearer.device, outcome.entry, int(now), self._signing_key, keys.KEY_ID)
        return aiocoap.Message(code=aiocoap.CHANGED, payload=receipt), outcome


def _report(outcome: intake.Outcome) -> None:
    usual = outcome.repeated or outcome.entry.verdict is receipts.Verdict.HELD
    _log.log(logging.INFO if usual else logging.WARNING, "%s", outcome.text)
    for alarm in outcome.alarms:
        _log.warning("%s", alarm)
