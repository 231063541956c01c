"""Devices as the objects of the command line's `--json`: their state, and what is to be looked at.

It writes nothing and formats no text for people.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from bondmate_sim.gateway import account, branches, enrolments, evidence, keys, messages, ranges, records, wipes
from bondmate_sim.gateway import devices as enrolled
from bondmate_sim.gateway.account import Missing
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.enrolments import Enrolment
from bondmate_sim.gateway.view import digest_text, fix, utc_text

_MISSING_SHOWN = 100


def devices(database: Database, now_ms: int) -> list[dict[str, Any]]:
    """Return every device, the oldest first: those that are enrolled, then those that are on their way to it."""
    with database.snapshot():
        rows = database.rows("SELECT id, public_key_pem, enrolled_ms, revoked_ms FROM device ORDER BY enrolled_ms, id")
        return [
            *(_device(database, *row) for row in rows),
            *(_under_way(database, each, now_ms) for each in enrolments.under_way(database)),
        ]


def _device(
    database: Database, device: bytes, public_key_pem: str, enrolled_ms: int, revoked_ms: int | None
) -> dict[str, Any]:
    open_sessions = database.rows(
        "SELECT session.id, max(seen_ms) FROM session JOIN bearer ON bearer.kid = session.kid"
        " WHERE bearer.device = ? AND open GROUP BY session.id ORDER BY max(seen_ms)",
        (device,),
    )
    forked = database.rows(
        "SELECT session, stream, sequence FROM record WHERE device = ? GROUP BY session, stream, sequence"
        " HAVING count(*) > 1 ORDER BY min(row)",
        (device,),
    )
    attempts = database.rows("SELECT received_ms, bearer, digest FROM attempt WHERE device = ? ORDER BY row", (device,))
    known = enrolled.device(database, device)
    numbers = account.account(database, known)
    enrolment = enrolments.find(database, device)
    wiped_ms = wipes.wiped_ms(database, device)
    missing = list(itertools.islice(_one_by_one(numbers.missing), _MISSING_SHOWN))
    return {
        "device": records.device_text(device),
        "state": _state(database, device, revoked=revoked_ms is not None, wiped=wiped_ms is not None),
        "fingerprint": keys.fingerprint(keys.public_der(known.key)),
        "expires_at": None,
        "software": None if enrolment is None else enrolment.software,
        "enrolled_at": utc_text(enrolled_ms),
        "public_key_pem": public_key_pem,
        "last_seen_at": utc_text(max((seen_ms for _, seen_ms in open_sessions), default=None)),
        "sessions": [records.session_text(session) for session, _ in open_sessions],
        "revoked": revoked_ms is not None,
        "revoked_at": utc_text(revoked_ms),
        "wiped_at": utc_text(wiped_ms),
        "groups": enrolled.groups(database, device),
        "mailbox": {"newest": messages.newest(database, device), "fetched": messages.fetched(database, device)},
        "forks": [records.record_text(device, *identity) for identity in forked],
        "branches": [
            {
                "record": records.record_text(device, each.session, records.STATE, each.sequence),
                "sessions": [records.session_text(session) for session in each.followers],
            }
            for each in branches.branches(database, device)
        ],
        "attempts": [
            {
                "received_at": utc_text(received_ms),
                "bearer": bearer,
                "digest": digest_text(digest),
            }
            for received_ms, bearer, digest in attempts
        ],
        "missing": [records.record_text(device, each.session, each.stream, number) for each, number in missing],
        "missing_count": sum(ranges.count([each.numbers]) for each in numbers.missing),
        "missing_before_loss": [
            records.record_text(device, each.session, each.stream, number) for each, number in missing if each.lost
        ],
        "thinned": {reason.name.lower(): count for reason, count in numbers.thinned.items()},
        "lost_with_store": numbers.lost_with_store,
        "store_lost": [
            {
                "record": records.record_text(device, each.session, records.STATE, each.sequence),
                "received_at": utc_text(each.received_ms),
            }
            for each in numbers.losses
        ],
        "accepted": _accepted(database, device),
        "health": _health(database, device),
        "presence": _presence(database, device),
    }


def _under_way(database: Database, enrolment: Enrolment, now_ms: int) -> dict[str, Any]:
    signing = None if enrolment.keys is None else enrolment.keys.signing
    return {
        "device": records.device_text(enrolment.device),
        "state": enrolment.state(now_ms).value,
        "fingerprint": None if signing is None else keys.fingerprint(signing),
        "expires_at": utc_text(enrolment.expires_ms),
        "software": enrolment.software,
        "enrolled_at": None,
        "public_key_pem": None if signing is None else keys.pem(signing),
        "last_seen_at": None,
        "sessions": [],
        "revoked": enrolment.withdrawn_ms is not None,
        "revoked_at": utc_text(enrolment.withdrawn_ms),
        "wiped_at": None,
        "groups": enrolments.groups(database, enrolment.device),
        "mailbox": {"newest": 0, "fetched": 0},
        "forks": [],
        "branches": [],
        "attempts": [],
        "missing": [],
        "missing_count": 0,
        "missing_before_loss": [],
        "thinned": {reason.name.lower(): 0 for reason in records.Reason},
        "lost_with_store": 0,
        "store_lost": [],
        "accepted": None,
        "health": None,
        "presence": None,
    }


def _state(database: Database, device: bytes, *, revoked: bool, wiped: bool) -> str:
    if wiped:
        return "wiped"
    if wipes.is_under_way(database, device):
        return "wiping"
    return "revoked" if revoked else "enrolled"


def _one_by_one(missing: Iterable[Missing]) -> Iterator[tuple[Missing, int]]:
    for each in missing:
        first, last = each.numbers
        for number in range(first, last + 1):
            yield each, number


def _accepted(database: Database, device: bytes) -> dict[str, Any] | None:
    newest = evidence.newest(database, device, records.REPORT, records.ACCEPTANCE)
    if newest is None or newest.record.acceptance is None:
        return None
    clock, found = newest.record.clock, newest.record.acceptance
    failed = [each.name for each in found.checks if each.ok is False]
    return {
        "at": utc_text(newest.received_ms if clock is None else clock.utc_ms),
        "software": found.software,
        "ok": not failed,
        "failed": failed,
        "checks": [{"check": each.name, "ok": each.ok, "text": each.found} for each in found.checks],
    }


def _health(database: Database, device: bytes) -> dict[str, Any] | None:
    newest = evidence.newest(database, device, records.HEALTH_STREAM, records.HEALTH)
    if newest is None:
        return None
    return {
        "faults": list(newest.record.faults),
        "record": records.record_text(device, newest.session, newest.record.stream, newest.record.sequence),
        "received_at": utc_text(newest.received_ms),
    }


def _presence(database: Database, device: bytes) -> dict[str, Any] | None:
    newest = evidence.newest(database, device, records.PRESENCE_STREAM, records.PRESENCE)
    if newest is None:
        return None
    return {
        "fix": fix(newest.record),
        "record": records.record_text(device, newest.session, newest.record.stream, newest.record.sequence),
        "received_at": utc_text(newest.received_ms),
    }
