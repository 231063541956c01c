import json

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from bondmate_sim.pin_file import DURESS_PIN, PIN, pin_file


def test_both_pins_are_in_it_hashed_as_another_library_hashes_them() -> None:
    kept = json.loads(pin_file())
    assert list(kept) == ["version", "salt", "iterations", "pin", "duress"]
    assert (kept["version"], kept["iterations"]) == (1, 100_000)
    salt = bytes.fromhex(kept["salt"])
    assert len(salt) == 16
    for pin, name in ((PIN, "pin"), (DURESS_PIN, "duress")):
        PBKDF2HMAC(SHA256(), 32, salt, 100_000).verify(pin.encode(), bytes.fromhex(kept[name]))


def test_the_pins_are_two_and_look_like_pins() -> None:
    assert PIN != DURESS_PIN
    assert all(pin.isdecimal() and 4 <= len(pin) <= 12 for pin in (PIN, DURESS_PIN))
    assert pin_file() == pin_file(), "hashing takes time: once for all worlds of a process"
