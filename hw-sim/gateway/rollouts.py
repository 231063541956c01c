"""Rollouts in the database: begun, stopped and gone on with by people, stepped by the running gateway.

What is sent to whom and when, `rollout` decides. A step and what it sends are one transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import bundles, messages, records, rollout
from bondmate_sim.gateway.bundles import Bundle, BundleError
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Draft, Type
from bondmate_sim.gateway.rollout import Member, Plan

_WITHOUT_EFFECT = "without effect: it came too late, or another update took its place"


class RolloutError(Exception):
    """What was asked for cannot be done; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a rollout goes; see rollout.Plan. `by` is who ordered it."""

    by: str
    at_once: bool
    tolerated_percent: int
    overdue_ms: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout as it was ordered; `why` is there while it is stopped."""

    id: int
    bundle: Bundle
    at_once: bool
    by: str
    plan: Plan
    why: str | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step did with a rollout: whom it told, or why it stopped it; or that it could tell nobody."""

    rollout: Rollout
    sent: Sequence[bytes] = ()
    stopped: str | None = None
    nowhere: bool = False


def start(
    database: Database, version: str, groups: Sequence[str], size: Callable[[int], int], order: Order, now_ms: int
) -> int:
    """Begin a rollout of a bundle to the devices of groups, or to all, and return its number.

    `size` gives the batch for so many devices. Who is revoked or to be wiped has no part in it. Raises RolloutError,
    bundles.BundleError, apsw.Error.
    """
    with database.transaction():
        bundle = bundles.present(database, version)
        chosen = _chosen(database, groups)
        if not chosen:
            whom = f" in the groups {', '.join(groups)}" if groups else ""
            raise RolloutError(
                f"no device{whom} can be updated; 'bondmate-gateway devices' lists them with their groups"
            )
        ((made,),) = database.rows(
            "INSERT INTO rollout (version, octets, sha256, at_once, batch, tolerated_percent, overdue_ms, by,"
            " started_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                *(bundle.version, bundle.octets, bundle.sha256, order.at_once, size(len(chosen))),
                *(order.tolerated_percent, order.overdue_ms, order.by, now_ms),
            ),
        )
        for place, device in enumerate(chosen):
            database.rows("INSERT INTO rollout_device (rollout, place, device) VALUES (?, ?, ?)", (made, place, device))
    return int(made)


def stop(database: Database, number: int | None, by: str, now_ms: int) -> None:
    """Stop a rollout, or all that go on; what was sent stays sent. Raises RolloutError, apsw.Error."""
    with database.transaction():
        for each in _going_on(database) if number is None else [_present(database, number)]:
            if each.why is None and not _is_over(database, each, now_ms):
                _stop(database, each, f"by {by}", now_ms)


def resume(database: Database, number: int | None, now_ms: int) -> None:
    """Go on with a rollout that was stopped, or with the only one; what failed until now counts no more.

    Raises RolloutError, apsw.Error.
    """
    with database.transaction():
        if number is None:
            stopped = [each for each in _all(database) if each.why is not None]
            if len(stopped) != 1:
                raise RolloutError(
                    f"{len(stopped) or 'none'} of the rollouts are stopped: say which shall go on;"
                    " 'bondmate-gateway rollout status' lists them"
                )
            (chosen,) = stopped
        else:
            chosen = _present(database, number)
        found = bundles.find(database, chosen.bundle.version)
        if found is None or found.sha256 != chosen.bundle.sha256:
            raise RolloutError(
                f"the bundle of {chosen.bundle.version} is not here any more; begin another: 'rollout start'"
            )
        if chosen.why is None:
            return
        for member, _ in _members(database, chosen, now_ms):
            if rollout.is_bad(chosen.plan, member, now_ms):
                database.rows(
                    "UPDATE rollout_device SET pardoned = 1 WHERE rollout = ? AND device = ?",
                    (chosen.id, member.device),
                )
        database.rows("UPDATE rollout SET stopped_ms = NULL, why = NULL WHERE id = ?", (chosen.id,))


def remove_bundle(database: Database, version: str, now_ms: int) -> Bundle:
    """Register a bundle no more; its file is the caller's to remove. Raises BundleError, apsw.Error."""
    with database.transaction():
        removed = bundles.present(database, version)
        for each in _going_on(database):
            if each.bundle.version == version and not _is_over(database, each, now_ms):
                raise BundleError(
                    f"rollout {each.id} of {version} goes on: 'bondmate-gateway rollout stop {each.id}' before"
                )
        bundles.forget(database, version)
    return removed


def step(database: Database, key: ec.EllipticCurvePrivateKey, base_url: str | None, now_ms: int) -> list[Stepped]:
    """Do what is to be done now with the rollouts that go on; `base_url` is where the devices find the bundles.

    Where it is None nobody is told. Raises apsw.Error.
    """
    if not _going_on(database):
        return []
    with database.transaction():
        return [_step(database, each, key, base_url, now_ms) for each in _going_on(database)]


def _step(
    database: Database, each: Rollout, key: ec.EllipticCurvePrivateKey, base_url: str | None, now_ms: int
) -> Stepped:
    members = [member for member, _ in _members(database, each, now_ms)]
    what = rollout.step(each.plan, members, now_ms)
    if what.stop is not None:
        _stop(database, each, what.stop, now_ms)
        return Stepped(each, stopped=what.stop)
    if rollout.is_over(each.plan, members, now_ms):
        database.rows("UPDATE rollout SET ended_ms = ? WHERE id = ?", (now_ms, each.id))
    if base_url is None:
        return Stepped(each, nowhere=bool(what.send))
    expires_s = (now_ms + each.plan.overdue_ms) // 1000
    bundle = each.bundle
    body = [bundle.version, f"{base_url}/{bundle.name}", bundle.octets, bundle.sha256, int(each.at_once)]
    for device in what.send:
        # off duty a device does not ask by itself: for what was ordered at once an SMS is worth it
        draft = Draft(Type.UPDATE, body, each.by, each.at_once, expires_s)
        number = messages.write(database, device, draft, key, now_ms)
        database.rows(
            "UPDATE rollout_device SET number = ?, sent_ms = ? WHERE rollout = ? AND device = ?",
            (number, now_ms, each.id, device),
        )
    return Stepped(each, what.send)


def status(database: Database, now_ms: int) -> list[dict[str, Any]]:
    """Return the rollouts as objects of the command line's `--json`, the oldest first. Raises apsw.Error."""
    with database.snapshot():
        return [_shown(database, each, now_ms) for each in _all(database)]


def _shown(database: Database, each: Rollout, now_ms: int) -> dict[str, Any]:
    members = _members(database, each, now_ms)
    over = each.ended or rollout.is_over(each.plan, [member for member, _ in members], now_ms)
    return {
        "rollout": each.id,
        "version": each.bundle.version,
        "state": "stopped" if each.why is not None else "done" if over else "running",
        "why": each.why,
        "devices": [
            {
                "device": records.device_text(member.device),
                "state": rollout.state(each.plan, member, now_ms).value,
                "text": text,
            }
            for member, text in members
        ],
    }


_SELECT = (
    "SELECT id, version, octets, sha256, at_once, by, batch, overdue_ms, tolerated_percent, why, ended_ms IS NOT NULL"
    " FROM rollout"
)


def _all(database: Database, where: str = "1") -> list[Rollout]:
    rows = database.rows(f"{_SELECT} WHERE {where} ORDER BY id")
    return [
        Rollout(
            number,
            Bundle(version, octets, sha256, 0),
            bool(at_once),
            by,
            Plan(batch, overdue_ms, tolerated),
            why,
            bool(ended),
        )
        for number, version, octets, sha256, at_once, by, batch, overdue_ms, tolerated, why, ended in rows
    ]


def _going_on(database: Database) -> list[Rollout]:
    return _all(database, "stopped_ms IS NULL AND ended_ms IS NULL")


def _present(database: Database, number: int) -> Rollout:
    found = [each for each in _all(database) if each.id == number]
    if not found:
        raise RolloutError(f"there is no rollout {number}; 'bondmate-gateway rollout status' lists them")
    return found[0]


def _is_over(database: Database, each: Rollout, now_ms: int) -> bool:
    return each.ended or rollout.is_over(each.plan, [member for member, _ in _members(database, each, now_ms)], now_ms)


def _stop(database: Database, each: Rollout, why: str, now_ms: int) -> None:
    database.rows("UPDATE rollout SET stopped_ms = ?, why = ? WHERE id = ?", (now_ms, why, each.id))


def _chosen(database: Database, groups: Sequence[str]) -> list[bytes]:
    rows = database.rows("SELECT id FROM updatable JOIN device USING (id) ORDER BY enrolled_ms, id")
    inside = {
        device for name in groups for (device,) in database.rows("SELECT device FROM member WHERE name = ?", (name,))
    }
    return [device for (device,) in rows if not groups or device in inside]


def _members(database: Database, each: Rollout, now_ms: int) -> list[tuple[Member, str | None]]:
    """Return the devices that have a part in it, in order, with what they said came of it."""
    rows = database.rows(
        "SELECT its.device, its.sent_ms, its.pardoned, told.state, told.answer, its.sent_ms IS NULL AND"
        " (EXISTS (SELECT 1 FROM message AS other WHERE other.device = its.device AND other.type = 8"
        "   AND other.expires_ms > :now AND NOT EXISTS (SELECT 1 FROM message_ended AS ended"
        "    WHERE ended.device = other.device AND ended.number = other.number))"
        # What was begun before, and goes on, has to be carried out before: so devices go through versions in order.
        "  OR EXISTS (SELECT 1 FROM rollout_device AS before JOIN rollout ON rollout.id = before.rollout"
        "   WHERE before.device = its.device AND before.rollout < its.rollout"
        "   AND rollout.stopped_ms IS NULL AND rollout.ended_ms IS NULL"
        "   AND NOT EXISTS (SELECT 1 FROM message_state AS done WHERE done.device = before.device"
        "    AND done.number = before.number AND done.state = 5)))"
        " FROM rollout_device AS its LEFT JOIN message_state AS told"
        "  ON told.device = its.device AND told.number = its.number AND told.state IN (4, 5, 6)"
        " WHERE its.rollout = :rollout AND (told.state = 5 OR its.device IN (SELECT id FROM updatable))"
        " ORDER BY its.place, told.state",
        {"rollout": each.id, "now": now_ms},
    )
    members: dict[bytes, tuple[Member, str | None]] = {}
    for device, sent_ms, pardoned, told, text, busy in rows:
        # By the state, so that of several the highest counts.
        done, failed = told == 5, told in (4, 6)
        member = Member(device, sent_ms, done, failed, bool(busy), bool(pardoned))
        members[device] = member, _WITHOUT_EFFECT if told == 4 else text
    return list(members.values())
