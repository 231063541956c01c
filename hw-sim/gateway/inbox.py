"""The one way in: unprotect a message, hand it to the intake, commit (docs/protocol.md, sections 4 and 5).

Every bearer's face hands its messages to this, and makes its own answer of what comes back. One message is handled from
start to end without a pause, so that window, record and answer cannot interleave with another. It decides no verdict.
"""

import dataclasses
import logging
import re
import time
from dataclasses import dataclass
from typing import Any

import aiocoap
import apsw
from aiocoap import error as coap_error
from aiocoap import oscore as library
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import (
    assistance,
    devices,
    intake,
    keys,
    messages,
    oscore,
    receipts,
    records,
    rekeying,
    sessions,
    unfetched,
    wipes,
)
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.devices import Standing
from bondmate_sim.gateway.enrolling import Enrolling
from bondmate_sim.gateway.serving import Served, plain, refused_post

MAX_SUBMISSION_OCTETS = 1024
SMS_BEARER = "sms"
_CURSOR = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)

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

    `outcome` is None when it was no submission; otherwise the reply's payload is the receipt. `rekeyed` says that with
    it the keys before those of the channel were forgotten.
    """

    channel: oscore.Channel
    request_id: Any
    reply: Any
    outcome: intake.Outcome | None
    rekeyed: bool = False


class Inbox:
    """Takes messages of all bearers into one database."""

    def __init__(
        self, database: Database, signing_key: ec.EllipticCurvePrivateKey, dh_key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._database = database
        self._signing_key = signing_key
        self._contexts = oscore.Contexts(database)
        self._enrolling = Enrolling(database, signing_key, dh_key)

    def take(self, request: Any, sender: str, sms_number: str | None = None, *, by_sms: bool = False) -> Taken:
        """Take one protected CoAP request, as aiocoap decoded it; `sender` is for the log.

        `by_sms` says that it is a short message, `sms_number` where that came from: by which the device can be woken
        later, if the kid is that of its bearer sms.

        Raises RefusedError, UnstoredError.
        """
        named = oscore.parse_option(request.opt.oscore)
        if named is None or request.code not in (aiocoap.POST, aiocoap.FETCH):
            raise RefusedError("it is not protected with OSCORE as a device does it")
        now = time.time()
        channel = self._channel(named, sender)
        if by_sms and channel.bearer.standing is Standing.OFFERED:
            raise RefusedError(f"kid {named.kid.hex()} is that of an enrolment, and nothing is enrolled by SMS")
        window = channel.window
        try:
            inner, request_id = channel.unprotect(request)
        except library.ReplayError as error:
            raise ReplayedError(f"it is a replay under kid {named.kid.hex()}, or too late: {error}") from error
        except (library.ProtectionInvalid, coap_error.UnparsableMessage, UnicodeDecodeError) as error:
            raise RefusedError(f"it does not verify under kid {named.kid.hex()}: {error}") from error
        old: list[bytes] = []
        try:
            with self._database.transaction():
                if channel.bearer.standing is Standing.FRESH:
                    old = rekeying.use(self._database, channel.bearer.device, int(now * 1000))
                kept = self._contexts.keep(channel, int(now * 1000))
                # A datagram caught on its way, which somebody sends on, shall not turn the wake-ups to him.
                if sms_number is not None and channel.bearer.name == SMS_BEARER:
                    unfetched.came_by_sms(self._database, channel.bearer.device, sms_number)
                served = self._serve(inner, channel, now)
        except apsw.Error as error:
            # As after a restart: what was not committed was not seen.
            channel.window = window
            _log.error("cannot store a message of %s: %s; check the disk of the data directory", sender, error)
            raise UnstoredError(str(error), channel, request_id) from error
        self._contexts.committed(kept)
        if old:
            self._rekeyed(channel, old)
        if served.committed is not None:
            served.committed()
        if served.outcome is not None:
            _report(served.outcome)
        for level, line in served.said:
            _log.log(level, "%s", line)
        return Taken(channel, request_id, served.reply, served.outcome, rekeyed=bool(old))

    def reach(self, device: bytes, bearer: str) -> oscore.Channel | None:
        """Return the channel of a device's present session over a bearer, for a request from here.

        None when the device was never heard. Sender numbers for it are in reserve. Raises apsw.Error.
        """
        with self._database.transaction():
            present = sessions.present(self._database, device)
            kid = devices.kid(self._database, device, bearer)
            if present is None or kid is None:
                return None
            session, seen_ms = present
            channel = self._contexts.find(oscore.OptionValue(kid, session))
            if channel is None:
                return None
            kept = self._contexts.keep(channel, seen_ms)
        self._contexts.committed(kept)
        return channel

    def forget_wiped(self, now_ms: int) -> list[bytes]:
        """Erase the channel keys of devices that were wiped long enough ago, and return those. Raises apsw.Error."""
        with self._database.transaction():
            forgotten = wipes.forget(self._database, now_ms)
        for device, kids in forgotten.items():
            self._forget(device, kids)
            _log.info("the channel keys of %s, which was wiped, are erased", records.device_text(device))
        return list(forgotten)

    def _channel(self, named: oscore.OptionValue, sender: str) -> oscore.Channel:
        try:
            channel = self._contexts.find(named)
        except apsw.Error as error:
            _log.error("cannot look up the kid of %s: %s; check the disk of the data directory", sender, error)
            raise UnstoredError(str(error)) from error
        if channel is None:
            raise RefusedError(f"kid {named.kid.hex()} is unknown, or its session is too old")
        return channel

    def _rekeyed(self, channel: oscore.Channel, old: list[bytes]) -> None:
        channel.bearer = dataclasses.replace(channel.bearer, standing=Standing.OWN)
        self._forget(channel.bearer.device, old)
        _log.info("%s uses its new keys; those before them are erased", records.device_text(channel.bearer.device))

    def _forget(self, device: bytes, kids: list[bytes]) -> None:
        self._contexts.forget(kids)
        self._enrolling.forget(device)
        name = records.device_text(device)
        try:
            if not self._database.erase():
                _log.info("the old keys of %s stand in the database's log until it is next written anew", name)
        except apsw.Error as error:
            _log.error("cannot clear the database's log of old keys: %s; check the disk of the data directory", error)

    def _serve(self, request: Any, channel: oscore.Channel, now: float) -> Served:
        offered = channel.bearer.standing is Standing.OFFERED
        match request.opt.uri_path:
            case ("r",) if not offered:
                return self._serve_records(request, channel, now)
            case ("m",) if not offered:
                return self._serve_mailbox(request, channel)
            case ("e",) if offered:
                return self._enrolling.claim(request, channel, int(now * 1000))
            case ("k",) if channel.bearer.name != SMS_BEARER:
                return self._enrolling.exchange(request, channel, int(now * 1000))
            case _:
                return plain(aiocoap.NOT_FOUND)

    def _serve_records(self, request: Any, channel: oscore.Channel, now: float) -> Served:
        if (refusal := refused_post(request, MAX_SUBMISSION_OCTETS)) is not None:
            return refusal
        now_ms = int(now * 1000)
        device = channel.bearer.device
        outcome = intake.take(self._database, channel.bearer, channel.session, request.payload, now_ms)
        if outcome is None:
            return plain(aiocoap.BAD_REQUEST)
        receipt = receipts.receipt(device, outcome.entry, int(now), self._signing_key, keys.KEY_ID)
        said = []
        if outcome.call is not None:
            alert, call = outcome.call.alert, outcome.call.record
            asked = assistance.ask(self._database, device, alert, call, self._signing_key, now_ms)
            said = [(logging.INFO, f"asked {records.device_text(each)}, which is near, to help") for each in asked]
        return Served(aiocoap.Message(code=aiocoap.CHANGED, payload=receipt), outcome, said)

    def _serve_mailbox(self, request: Any, channel: oscore.Channel) -> Served:
        if request.code != aiocoap.GET:
            return plain(aiocoap.METHOD_NOT_ALLOWED)
        query = request.opt.uri_query
        if len(query) != 1 or not _CURSOR.fullmatch(query[0]) or int(query[0]) > messages.MAX_NUMBER:
            return plain(aiocoap.BAD_REQUEST)
        device, cursor = channel.bearer.device, int(query[0])
        revoked = devices.device(self._database, device).revoked
        answering = messages.answer_revoked if revoked else messages.answer
        answer = answering(self._database, device, cursor, self._signing_key)
        said = []
        if answer.moved:
            line = (
                f"{records.device_text(device)} has {answer.moved} messages more than were ever sent from here: this"
                " database was restored. Those that it has not fetched are numbered anew behind them"
            )
            said = [(logging.WARNING, line)]
        return Served(aiocoap.Message(code=aiocoap.CONTENT, payload=answer.payload), said=said)


def _report(outcome: intake.Outcome) -> None:
    held = outcome.entry.verdict is receipts.Verdict.HELD
    paged = outcome.call is not None and not outcome.call.alert.exercise
    usual = outcome.repeated or (held and not paged)
    _log.log(logging.INFO if usual else logging.WARNING, "%s", outcome.text)
    for alarm in outcome.alarms:
        _log.warning("%s", alarm)
