"""Devices that are to be wiped, and those that were: whether they said so, and what is forgotten then.

docs/protocol.md, section 10. Call all of it inside a transaction.
"""

from collections.abc import Iterable

from bondmate_sim.gateway import bodies, devices, messages
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.messages import Type

ANSWERED_MS = 7 * 24 * 3600 * 1000
"""For so long a device that said that it is wiped can still get its receipt: the answer to it may have been lost, and
without one the device waits. What its channel keys open until then is that receipt, and refusals."""


def is_under_way(database: Database, device: bytes) -> bool:
    """Say whether a device was told to wipe itself, and did not say yet what came of it. Raises apsw.Error."""
    return messages.under_way(database, device, Type.WIPE) is not None


def wiped_ms(database: Database, device: bytes) -> int | None:
    """Return when a device said that it is wiped (UTC in ms), or None. Raises apsw.Error."""
    return messages.carried_out_ms(database, device, Type.WIPE)


def report(database: Database, device: devices.Device, states: Iterable[bodies.MessageState], now_ms: int) -> bool:
    """Keep what a device says of messages, of a revoked one of wipes alone; return whether it is wiped with that.

    Then it is revoked. Raises apsw.Error.
    """
    before = wiped_ms(database, device.id)
    messages.report(database, device.id, states, now_ms, wipes_only=device.revoked)
    if before is not None or wiped_ms(database, device.id) is None:
        return False
    devices.mark_revoked(database, device.id, now_ms)
    return True


def forget(database: Database, now_ms: int) -> dict[bytes, list[bytes]]:
    """Erase the channel keys and sessions of devices that were wiped long enough ago; return their kids, by device.

    Raises apsw.Error.
    """
    due = database.rows(
        "SELECT DISTINCT device FROM message JOIN message_state USING (device, number)"
        " WHERE type = ? AND state = ? AND message_state.received_ms <= ?"
        " AND EXISTS (SELECT 1 FROM bearer WHERE bearer.device = message.device)",
        (Type.WIPE, bodies.State.CARRIED_OUT, now_ms - ANSWERED_MS),
    )
    return {device: devices.forget_keys(database, device) for (device,) in due}
