"""Messages that wait to be fetched: of which devices, whether that is urgent, and where an SMS would reach them.

Call all of it inside a transaction. When a device is woken, and how, is decided elsewhere (see wakes).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bondmate_sim.gateway.database import Database


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a device did not fetch: up to which number, and the urgent messages, by number, with when they were written.

    Those alone are named that did not expire, and because of which no SMS was sent.
    """

    device: bytes
    newest: int
    urgent: tuple[tuple[int, int], ...] = field(default=())


def waiting(database: Database, now_ms: int) -> Iterator[Waiting]:
    """Yield each device that is not revoked and has messages to fetch. Raises apsw.Error."""
    urgent: dict[bytes, list[tuple[int, int]]] = {}
    for device, number, written_ms in database.rows(
        "SELECT device, number, written_ms FROM pending WHERE urgent AND woken_ms IS NULL"
        " AND (expires_ms IS NULL OR expires_ms > ?) ORDER BY number",
        (now_ms,),
    ):
        urgent.setdefault(device, []).append((number, written_ms))
    for device, last in database.rows("SELECT device, max(number) FROM pending GROUP BY device"):
        yield Waiting(device, last, tuple(urgent.get(device, ())))


def woken(database: Database, device: bytes, numbers: Iterable[int], now_ms: int) -> None:
    """Note that an SMS goes out because of messages, so that none follows. Raises apsw.Error."""
    for number in numbers:
        database.rows(
            "UPDATE message SET woken_ms = ? WHERE device = ? AND number = ? AND woken_ms IS NULL",
            (now_ms, device, number),
        )


def sms_number(database: Database, device: bytes) -> str | None:
    """Return the number that the device's last verified SMS came from. Raises apsw.Error."""
    found = database.rows("SELECT sms_number FROM mailbox WHERE device = ?", (device,))
    return found[0][0] if found else None


def came_by_sms(database: Database, device: bytes, number: str) -> None:
    """Remember where a verified SMS of a device came from. Raises apsw.Error."""
    database.rows(
        "INSERT INTO mailbox (device, sms_number) VALUES (?, ?)"
        " ON CONFLICT (device) DO UPDATE SET sms_number = excluded.sms_number",
        (device, number),
    )
