"""What a person at the gateway does: acknowledge, close, write, alert a group, order an exercise, new keys, a wipe.

Each act is one transaction, and returns the objects of the command line's `--json`. The running gateway sees what was
written and wakes the devices.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import calls, devices, enrolments, exercises, messages, records, wipes
from bondmate_sim.gateway.calls import Handling
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Draft, Place, Type
from bondmate_sim.gateway.view import identity, utc_text

_ALERT_ID = re.compile(r"BM-([0-9a-f]{8})/([0-9a-f]{4})-([0-9a-f]{8})/([a-z]+)/([1-9][0-9]{0,9})", re.ASCII)


class DeskError(Exception):
    """What was asked for cannot be done; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Whoever sits there: `by` is the name that officers see, `now_ms` is UTC in ms since 1970.

    All of it raises DeskError, messages.MessageError, apsw.Error.
    """

    database: Database
    key: ec.EllipticCurvePrivateKey
    by: str
    now_ms: int

    def handle(self, alert_id: str, *, close: bool) -> dict[str, Any]:
        """Acknowledge or close the calls of an alert up to the one of that id; what is so already is left so, and said.

        What came after it, whoever gives the id may not have seen: it stays as it is, and is counted in `later`.
        """
        with self.database.transaction():
            found = self._find(alert_id)
            kind = Type.CLOSE if close else Type.ACKNOWLEDGE
            act = found.closed or (None if close else found.acknowledged)
            if act is not None:
                kind = Type.CLOSE if act.closed else Type.ACKNOWLEDGE
                number = self._number_of(found, kind, act)
                return self._shown(found, number, kind, act.at_ms, act.by) | {"already": True}
            if close and found.duress:
                raise DeskError(
                    f"DURESS: somebody forced the officer to take {found.alert_id} back, and nobody acknowledged that;"
                    " look with 'bondmate-gateway alerts', and acknowledge it before you close it"
                )
            ((seen,),) = self.database.rows("SELECT coalesce(max(row), 0) FROM record")
            for digest in found.digests:
                self.database.rows(
                    "INSERT INTO handling (device, digest, closed, by, at_ms, seen) VALUES (?, ?, ?, ?, ?, ?)",
                    (found.device, digest, close, self.by, self.now_ms, seen),
                )
            # The newest are what matters: by the newest of its calls the device knows whether its alert is over.
            named = [each[: messages.DIGEST_OCTETS] for each in found.digests[-messages.MAX_DIGESTS :]]
            draft = Draft(kind, [named], self.by, about=found.digests[-1])
            number = self._write(found.device, draft)
            return self._shown(found, number, kind, self.now_ms, self.by) | {"already": False}

    def message(self, device: bytes, text: str, replies: Sequence[str], *, urgent: bool) -> dict[str, Any]:
        """Write a message to one device."""
        draft = Draft(Type.MESSAGE, messages.texts(text, replies), self.by, urgent)
        with self.database.transaction():
            self._enrolled(device)
            return self._sent(device, draft)

    def alert(
        self, group: str, text: str, replies: Sequence[str], area: Place | None, *, urgent: bool
    ) -> list[dict[str, Any]]:
        """Alert all devices of a group that are not revoked: all of them or, when it fails, none."""
        body = [*messages.texts(text, replies), None if area is None else area.encoded()]
        with self.database.transaction():
            members = devices.members(self.database, group)
            if not members:
                raise DeskError(
                    f"no device that is not revoked is in the group {group}; 'bondmate-gateway devices' shows the"
                    " groups, 'bondmate-gateway group DEVICE NAME...' sets a device's"
                )
            return [self._sent(each, Draft(Type.ALERT, body, self.by, urgent)) for each in members]

    def exercise(self, device: bytes, seconds: int) -> dict[str, Any]:
        """Order an exercise of so many seconds from now; 0 ends what goes on."""
        with self.database.transaction():
            self._enrolled(device)
            if seconds:
                draft = exercises.begin(self.database, device, seconds, self.by, self.now_ms)
                until_ms = self.now_ms + seconds * 1000
            else:
                draft = exercises.end(self.database, device, self.by, self.now_ms)
                until_ms = self.now_ms
            return self._sent(device, draft) | {"until": utc_text(until_ms)}

    def wipe(self, device: bytes) -> None:
        """Tell a device, revoked or not, to deliver its calls and forget all else; once that was done, do nothing."""
        with self.database.transaction():
            self._known(device)
            if wipes.wiped_ms(self.database, device) is None and not wipes.is_under_way(self.database, device):
                self._write(device, Draft(Type.WIPE, [], self.by, urgent=True))

    def rekey(self, device: bytes) -> dict[str, Any]:
        """Tell a device to change its channel keys; one that was told and did not say that it did is not told again."""
        with self.database.transaction():
            self._enrolled(device)
            if enrolments.find(self.database, device) is None:
                raise DeskError(
                    f"{records.device_text(device)} has no key to agree on new ones by: its credentials were made by"
                    " 'bondmate-gateway enrol --out'. Revoke it, and enrol it with --cards"
                )
            number = messages.under_way(self.database, device, Type.REKEY)
            if number is not None:
                return self._act(device, number, Type.REKEY, self.now_ms, self.by) | {"already": True}
            return self._sent(device, Draft(Type.REKEY, [], self.by)) | {"already": False}

    def _find(self, alert_id: str) -> "_Found":
        parts = _ALERT_ID.fullmatch(alert_id)
        unknown = DeskError(f"no alert {alert_id} is held here; 'bondmate-gateway alerts' lists those that are")
        if parts is None or parts[4] not in records.STREAMS:
            raise unknown
        device, session = bytes.fromhex(parts[1]), bytes.fromhex(parts[2] + parts[3])
        stream, sequence = records.STREAMS.index(parts[4]), int(parts[5])
        unread = [
            digest
            for (digest,) in self.database.rows(
                "SELECT digest FROM quarantine WHERE device = ? AND session = ? AND stream = ? AND sequence = ?",
                (device, session, stream, sequence),
            )
        ]
        acts = calls.handlings(self.database, device)
        acknowledged = calls.about_all(acts, unread)
        closed = calls.about_all([each for each in acts if each.closed], unread)
        history = calls.history(self.database, device)
        for alert in (*history.alerts, *history.loose) if stream == records.ALERT else ():
            place = next((at for at, same in enumerate(alert.calls) if same[0].identity == (session, sequence)), None)
            if place is not None:
                return _Found(
                    device,
                    identity(device, alert.first),
                    [*unread, *(each.digest for same in alert.calls[: place + 1] for each in same)],
                    None if unread and not acknowledged else alert.done(place, closed=False),
                    None if unread and not closed else alert.done(place, closed=True),
                    later=[each.digest for same in alert.calls[place + 1 :] for each in same],
                    calls_later=len(alert.calls) - place - 1,
                    duress=alert.duress_unseen,
                )
        if not unread:
            raise unknown
        return _Found(device, alert_id, unread, acknowledged, closed)

    def _number_of(self, found: "_Found", kind: Type, act: Handling) -> int | None:
        # A later call may have been named with these: then the message is about that one.
        numbers = [
            number
            for digest in (*found.digests, *found.later)
            for (number,) in self.database.rows(
                "SELECT number FROM message WHERE about = ? AND device = ? AND type = ? AND written_ms = ?",
                (digest, found.device, kind, act.at_ms),
            )
        ]
        return max(numbers, default=None)

    def _shown(self, found: "_Found", number: int | None, kind: Type, at_ms: int, by: str) -> dict[str, Any]:
        shown = self._act(found.device, number, kind, at_ms, by)
        return shown | {"alert_id": found.alert_id, "later": found.calls_later, "duress": found.duress}

    def _sent(self, device: bytes, draft: Draft) -> dict[str, Any]:
        return self._act(device, self._write(device, draft), draft.type, self.now_ms, self.by)

    def _act(self, device: bytes, number: int | None, kind: Type, at_ms: int, by: str) -> dict[str, Any]:
        return {
            "device": records.device_text(device),
            "number": number,
            "type": kind.name.lower(),
            "at": utc_text(at_ms),
            "by": by,
            "alert_id": None,
        }

    def _write(self, device: bytes, draft: Draft) -> int:
        return messages.write(self.database, device, draft, self.key, self.now_ms)

    def _known(self, device: bytes) -> None:
        if not devices.is_enrolled(self.database, device):
            name = records.device_text(device)
            raise DeskError(f"no device {name} is enrolled here; 'bondmate-gateway devices' lists them")

    def _enrolled(self, device: bytes) -> None:
        self._known(device)
        if devices.device(self.database, device).revoked:
            raise DeskError(f"{records.device_text(device)} is revoked: it gets no messages any more")


@dataclass(frozen=True, slots=True)
class _Found:
    """What an id names of an alert, or what could not be read.

    `alert_id` is the alert's own, `digests` are those of its calls up to the one that is named, the newest last;
    `acknowledged` and `closed` who handled these; `later` the digests of the calls, `calls_later` of them, that came
    after; `duress` whether nobody acknowledged the alert since it was taken back under duress.
    """

    device: bytes
    alert_id: str
    digests: list[bytes]
    acknowledged: Handling | None
    closed: Handling | None
    later: Sequence[bytes] = ()
    calls_later: int = 0
    duress: bool = False
