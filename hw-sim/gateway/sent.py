"""Messages to devices as the objects of the command line's `--json`: what was sent, and what became of it.

It writes nothing and formats no text for people.
"""

from typing import Any

from bondmate_sim.gateway import bodies, cose, messages, records
from bondmate_sim.gateway.bodies import State
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Type
from bondmate_sim.gateway.view import utc_text

_WORDS = {
    State.TAKEN: "taken",
    State.READ: "read",
    State.ANSWERED: "answered",
    State.WITHOUT_EFFECT: "without-effect",
    State.CARRIED_OUT: "carried-out",
    State.FAILED: "failed",
}

_RESULTS = (State.CARRIED_OUT, State.FAILED)


def sent(database: Database, device: bytes | None) -> list[dict[str, Any]]:
    """Return the messages to a device by number, or those to all by the time they were written. Raises apsw.Error."""
    with database.snapshot():
        rows = database.rows(
            "SELECT device, number, type, urgent, written_ms, expires_ms, woken_ms, tagged, coalesce(fetched, 0)"
            " FROM message LEFT JOIN mailbox USING (device) WHERE ?1 IS NULL OR device = ?1"
            " ORDER BY CASE WHEN ?1 IS NULL THEN written_ms END, device, number",
            (device,),
        )
        return [_message(database, row) for row in rows]


def _message(database: Database, row: tuple[Any, ...]) -> dict[str, Any]:
    device, number, kind, urgent, written_ms, expires_ms, woken_ms, tagged, fetched = row
    states = database.rows(
        "SELECT state, answer, received_ms FROM message_state WHERE device = ? AND number = ? ORDER BY state",
        (device, number),
    )
    # Written here, so it reads as it was written.
    *_, by, body = messages.content(tagged)
    return {
        "device": records.device_text(device),
        "number": number,
        "type": Type(kind).name.lower(),
        "at": utc_text(written_ms),
        "by": by,
        "urgent": bool(urgent),
        "expires_at": utc_text(expires_ms),
        "state": _state([State(state) for state, _, _ in states], fetched=number <= fetched),
        "states": [{"state": _WORDS[State(state)], "received_at": utc_text(at_ms)} for state, _, at_ms in states],
        "answer": next((text for state, text, _ in states if state == State.ANSWERED), None),
        "result": next((text for state, text, _ in reversed(states) if state in _RESULTS), None),
        "woken_by_sms_at": utc_text(woken_ms),
        **_content(Type(kind), body),
        "message_hex": tagged.hex(),
        "external_aad_hex": cose.external_aad("bondmate message 1", device).hex(),
    }


def _state(states: list[bodies.State], *, fetched: bool) -> str:
    if State.WITHOUT_EFFECT in states:
        return _WORDS[State.WITHOUT_EFFECT]
    if states:
        return _WORDS[max(states)]
    return "fetched" if fetched else "waiting"


def _content(kind: Type, body: list[Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "text": None,
        "replies": [],
        "place": None,
        "kind": None,
        "digests": [],
        "exercise_s": None,
        "update": None,
    }
    match kind:
        case Type.MESSAGE | Type.ALERT | Type.ASSISTANCE:
            shown |= {"text": body[0], "replies": body[1]}
        case Type.ACKNOWLEDGE | Type.CLOSE:
            shown |= {"digests": [each.hex() for each in body[0]]}
        case Type.EXERCISE:
            shown |= {"exercise_s": body[1]}
        case Type.UPDATE:
            software, url, octets, sha256, when = body
            shown["update"] = {
                "software": software,
                "url": url,
                "octets": octets,
                "sha256": sha256.hex(),
                "at_once": bool(when),
            }
        case Type.WIPE | Type.REKEY:
            pass
    if kind in (Type.ALERT, Type.ASSISTANCE) and body[2] is not None:
        lat, lon, radius_m = body[2]
        shown["place"] = {"lat": lat / 1e7, "lon": lon / 1e7, "radius_m": radius_m}
    if kind is Type.ASSISTANCE:
        shown["kind"] = records.kind_name(body[3])
    return shown
