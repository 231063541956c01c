"""The officer's PIN as a device keeps it: `pin.json`, beside its credentials. These two PINs are the developer's."""

import functools
import hashlib
import json
import secrets

PIN, DURESS_PIN = "1234", "4321"
ITERATIONS = 100_000


@functools.cache
def pin_file() -> str:
    """The file's content: PBKDF2-HMAC-SHA256 (RFC 8018) of both PINs with one salt, the same in all worlds."""
    salt = secrets.token_bytes(16)

    def hashed(pin: str) -> str:
        return hashlib.pbkdf2_hmac("sha256", pin.encode(), salt, ITERATIONS).hex()

    kept = {
        "version": 1,
        "salt": salt.hex(),
        "iterations": ITERATIONS,
        "pin": hashed(PIN),
        "duress": hashed(DURESS_PIN),
    }
    return json.dumps(kept) + "\n"
