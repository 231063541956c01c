import apsw
import pytest

from bondmate_sim.gateway import credentials, devices
from bondmate_sim.gateway.database import Database


def test_a_device_is_found_by_any_of_its_kids(database: Database) -> None:
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    for name, kid in made.kids.items():
        found = devices.bearer(database, kid)
        assert found == devices.Bearer(kid, name, made.device, made.channel_secret, None)
        assert made.channel_secret.hex() not in repr(found)
        assert repr(made.channel_secret) not in repr(found)
    assert devices.bearer(database, b"none") is None


def test_the_gateway_keeps_the_public_half_alone(database: Database) -> None:
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    assert devices.device(database, made.device).key == made.signing_key.public_key()
    ((pem,),) = database.rows("SELECT public_key_pem FROM device")
    assert "PRIVATE" not in pem


def test_devices_are_added_all_or_none(database: Database) -> None:
    made = credentials.generate()
    with pytest.raises(apsw.ConstraintError):
        devices.add(database, [made, made], now_ms=0)
    assert database.rows("SELECT * FROM device") == []


def test_groups_are_set_whole_and_shared_by_colleagues_that_are_not_revoked(database: Database) -> None:
    one, two, three = (credentials.generate() for _ in range(3))
    devices.add(database, [one, two], now_ms=0, groups=["north", "night", "north"])
    devices.add(database, [three], now_ms=1)
    assert devices.groups(database, one.device) == ["night", "north"]
    assert devices.colleagues(database, one.device) == [two.device]
    assert devices.group(database, three.device, ["night"])
    assert devices.members(database, "night") == [*sorted([one.device, two.device]), three.device]
    devices.revoke(database, two.device, now_ms=2)
    assert devices.members(database, "night") == [one.device, three.device]
    assert devices.colleagues(database, one.device) == [three.device]
    assert devices.group(database, one.device, [])
    assert devices.groups(database, one.device) == []
    assert devices.colleagues(database, one.device) == []
    assert not devices.group(database, b"none", ["north"])


def test_revoked_is_revoked_from_the_first_time(database: Database) -> None:
    made = credentials.generate()
    devices.add(database, [made], now_ms=0)
    assert not devices.device(database, made.device).revoked
    assert devices.revoke(database, made.device, now_ms=1)
    assert devices.revoke(database, made.device, now_ms=2)
    assert devices.device(database, made.device).revoked
    assert database.rows("SELECT revoked_ms FROM device") == [(1,)]
    assert not devices.revoke(database, b"none", now_ms=3)
