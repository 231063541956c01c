"""Channel keys that a device and the gateway agreed on: fresh, until the first message under them; then the device's.

Until then the keys before them hold as well, and with it they are erased. It speaks no EDHOC.
"""

from bondmate_sim.gateway import keys
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.edhoc import ChannelKeys


def is_possible(database: Database, device: bytes, agreed: ChannelKeys) -> bool:
    """Say whether the kids can be a device's: none is the kid of anything here, and no two are the same."""
    kids = set(agreed.kids.values())
    return len(kids) == len(agreed.kids) and not any(
        # Its own fresh ones are replaced.
        database.rows(
            "SELECT 1 FROM kid_taken WHERE kid = ?1 AND NOT (device = ?2 AND kid IN (SELECT kid FROM fresh_bearer))",
            (kid, device),
        )
        for kid in kids
    )


def store(database: Database, device: bytes, agreed: ChannelKeys) -> None:
    """Note fresh keys, in place of those that were not used; call it inside a transaction. Raises apsw.Error."""
    database.rows("DELETE FROM fresh WHERE device = ?", (device,))
    database.rows("INSERT INTO fresh (device, channel_secret) VALUES (?, ?)", (device, agreed.secret))
    for name, kid in agreed.kids.items():
        database.rows("INSERT INTO fresh_bearer (kid, device, name) VALUES (?, ?, ?)", (kid, device, name))


def use(database: Database, device: bytes, now_ms: int) -> list[bytes]:
    """Make a device's fresh keys its own, erase those before them, and return the kids that are known no more.

    A device that was being enrolled is enrolled with it. Call it inside a transaction, once a message verified under
    the fresh keys; repeating it changes nothing. Raises apsw.Error.
    """
    fresh = database.rows("SELECT channel_secret FROM fresh WHERE device = ?", (device,))
    if not fresh:
        return []
    ((secret,),) = fresh
    old = database.rows(
        "SELECT kid FROM bearer WHERE device = ?1"
        " UNION ALL SELECT kid FROM enrolment WHERE device = ?1 AND kid IS NOT NULL",
        (device,),
    )
    for (kid,) in old:
        database.rows("DELETE FROM session WHERE kid = ?", (kid,))
    database.rows("DELETE FROM bearer WHERE device = ?", (device,))
    if database.rows("SELECT 1 FROM device WHERE id = ?", (device,)):
        database.rows("UPDATE device SET channel_secret = ? WHERE id = ?", (secret, device))
    else:
        _enrol(database, device, secret, now_ms)
    moved = database.rows("DELETE FROM fresh_bearer WHERE device = ? RETURNING kid, device, name", (device,))
    for each in moved:
        database.rows("INSERT INTO bearer (kid, device, name) VALUES (?, ?, ?)", each)
    database.rows("DELETE FROM fresh WHERE device = ?", (device,))
    return [kid for (kid,) in old]


def _enrol(database: Database, device: bytes, secret: bytes, now_ms: int) -> None:
    ((der,),) = database.rows("SELECT public_key FROM enrolment WHERE device = ?", (device,))
    database.rows(
        "INSERT INTO device (id, public_key_pem, channel_secret, enrolled_ms) VALUES (?, ?, ?, ?)",
        (device, keys.pem(der), secret, now_ms),
    )
    database.rows(
        "INSERT INTO member (device, name) SELECT device, name FROM enrolment_member WHERE device = ?", (device,)
    )
    database.rows("UPDATE enrolment SET kid = NULL, secret = NULL WHERE device = ?", (device,))
