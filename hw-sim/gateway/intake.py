"""From one submission to one receipt entry: verify, read, keep (docs/protocol.md, section 4).

The decisions stand here; the caller brings the authentic channel and the transaction, and signs the receipt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bondmate_sim.gateway import bodies, branches, calls, cbor, cose, devices, evidence, receipts, records, wipes
from bondmate_sim.gateway.chain import Chain
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.receipts import Entry, Verdict

_LOOKED_BACK = 32
"""So many records of its stream tell which alert a call belongs to. Beyond them, an escalation counts as an alert."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was held just now, and the alert that it belongs to."""

    record: records.Record
    alert: calls.Alert


@dataclass(frozen=True, slots=True)
class Outcome:
    """The receipt entry of a submission, what to tell the operator, and whether the record was held before.

    `alarms` are what a human must see beside it: forks, branches, broken chains, lost stores, duress. `call` is there
    when the record is a call that was not held before.
    """

    entry: Entry
    repeated: bool
    text: str
    alarms: tuple[str, ...] = ()
    call: Call | None = None


def take(
    database: Database, bearer: devices.Bearer, channel_session: bytes, data: bytes, now_ms: int
) -> Outcome | None:
    """Take one submission of a verified message; call it inside a transaction.

    Returns None when the submission holds no record. Raises apsw.Error.
    """
    device = devices.device(database, bearer.device)
    submission = records.submission(data, channel_session)
    if not submission.form:
        return None
    tagged = records.tagged(submission.form, device.key)
    origin = evidence.Origin(device.id, submission.session, cose.digest(tagged), tagged, bearer.name, now_ms)
    try:
        record = read(tagged, device, submission.session)
    except records.UnreadableError as why:
        if device.revoked:
            return _refuse(database, origin, why.stream, why.sequence)
        return _quarantine(database, origin, why)
    # One that was revoked by its own word, that it is wiped, gets the receipt of that again: it may have lost it.
    wiped = device.revoked and wipes.wiped_ms(database, device.id) is not None
    if device.revoked and not (wiped and evidence.is_held(database, origin)):
        # Refusing its records is no reason to not believe that it is wiped.
        alarms = _report(database, origin, device, record)
        return _refuse(database, origin, record.stream, record.sequence, alarms)
    return _hold(database, origin, device, record)


def read(tagged: bytes, device: devices.Device, session: bytes) -> records.Record:
    """Verify and read a record. Raises records.UnreadableError, which says as much of its identity as it could read."""
    try:
        sign1 = cose.parse(tagged)
    except cbor.MalformedError as error:
        raise records.UnreadableError(f"malformed COSE_Sign1: {error}") from error
    found: records.Record | records.UnreadableError
    try:
        found = records.payload(sign1.payload)
    except records.UnreadableError as error:
        found = error
    try:
        _verify(sign1, device, session)
    except cose.NotVerifiedError as error:
        raise records.UnreadableError(str(error), found.stream, found.sequence) from error
    if isinstance(found, records.UnreadableError):
        raise found
    return found


def is_signed(tagged: bytes, device: devices.Device, session: bytes) -> bool:
    """Say whether the device signed a record, whatever it says and whether or not that can be read."""
    try:
        _verify(cose.parse(tagged), device, session)
    except (cbor.MalformedError, cose.NotVerifiedError):
        return False
    return True


def _verify(sign1: cose.Sign1, device: devices.Device, session: bytes) -> None:
    if (sign1.protected, sign1.unprotected) != (cose.protected_header(device.key), cose.EMPTY_MAP):
        raise cose.NotVerifiedError("the header is not that of the enrolled key")
    try:
        cose.verify(sign1, records.external_aad(device.id, session), device.key)
    except cose.NotVerifiedError as error:
        raise cose.NotVerifiedError(f"{error} with the enrolled key") from error


def _hold(database: Database, origin: evidence.Origin, device: devices.Device, record: records.Record) -> Outcome:
    held = evidence.hold(database, origin, record)
    name = records.record_text(origin.device, origin.session, record.stream, record.sequence)
    alarms = []
    if held.forked:
        alarms.append(f"FORK: another record under {name} is held; the device may be cloned, or its card restored")
    if held.chain is Chain.BROKEN and not held.repeated:
        alarms.append(f"BROKEN CHAIN: {name} does not continue the record before it")
    for place in held.broken:
        other = records.record_text(place.device, place.session, place.stream, place.sequence)
        alarms.append(f"BROKEN CHAIN: {other} does not continue the record before it, which came later")
    if record.store_lost and not held.repeated:
        alarms.append(
            f"STORE LOST: {name} says so; what {records.device_text(origin.device)} had not sent will not come"
        )
    if not held.repeated:
        alarms += _branch_alarms(database, origin, record)
        alarms += _report(database, origin, device, record)
        if record.cancellation is not None and record.cancellation.how is bodies.How.DURESS:
            alarms.append(f"DURESS: {name} takes an alert back because somebody forced the officer to: it is not over")
    call = _call(database, origin, record) if record.is_call and not held.repeated else None
    what = "again, already held" if held.repeated else "held"
    return Outcome(
        Entry(origin.session, record.stream, record.sequence, origin.digest, held.verdict),
        held.repeated,
        f"{_title(record, call)} {name} over {origin.bearer}: {what}",
        tuple(alarms),
        call,
    )


def _call(database: Database, origin: evidence.Origin, record: records.Record) -> Call:
    alerts = calls.history(database, origin.device, _LOOKED_BACK).alerts
    return Call(record, next(each for each in alerts if origin.digest in each.digests))


def _title(record: records.Record, call: Call | None) -> str:
    """Return what a record is in the log: what somebody has to be called for begins so."""
    kind = records.kind_name(record.kind)
    if call is None or call.alert.exercise:
        return kind
    if call.alert.marked and record.kind == records.EXERCISE:
        return f"CALL, marked as {kind} though none was ordered:"
    return f"CALL {kind}"


def _branch_alarms(database: Database, origin: evidence.Origin, record: records.Record) -> Iterator[str]:
    if record.sequence != 1:
        return
    for session in {each.session for each in record.predecessors if each.stream == records.STATE}:
        if session is not None and (other := branches.only_other(database, origin, session)) is not None:
            two = " and ".join(map(records.session_text, (other, origin.session)))
            yield (
                f"BRANCH: {two} of {records.device_text(origin.device)} both continue {records.session_text(session)};"
                " the card may be cloned or restored, or not keep what it is told: check the device"
            )


def _quarantine(database: Database, origin: evidence.Origin, why: records.UnreadableError) -> Outcome:
    repeated = evidence.quarantine(database, origin, why)
    text = f"record of {records.device_text(origin.device)} over {origin.bearer}: held, unreadable: {why.why}"
    return Outcome(
        Entry(origin.session, why.stream, why.sequence, origin.digest, Verdict.UNREADABLE),
        repeated,
        text,
    )


def _report(database: Database, origin: evidence.Origin, device: devices.Device, record: records.Record) -> list[str]:
    if not wipes.report(database, device, record.states, origin.now_ms):
        return []
    return [f"WIPED: {records.device_text(device.id)} says that it is; it is revoked with that"]


def _refuse(
    database: Database,
    origin: evidence.Origin,
    stream: int | None,
    sequence: int | None,
    alarms: Sequence[str] = (),
) -> Outcome:
    evidence.attempt(database, origin)
    text = f"record of {records.device_text(origin.device)} over {origin.bearer}: refused, the device is revoked"
    return Outcome(
        Entry(origin.session, stream, sequence, origin.digest, Verdict.REFUSED, receipts.REASON_REVOKED),
        False,
        text,
        tuple(alarms),
    )
