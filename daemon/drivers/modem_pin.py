"""The SIM's PIN: from its file, and never tried twice when it was wrong.

A SIM blocks itself after three wrong attempts. So what is tried is remembered first, and a PIN that was refused, or of
which that is not known, is not tried again.
"""

import hashlib
import json
import re
import secrets
from pathlib import Path

from bondmate.durable import replace_file

MIN_LEFT = 2
"""With fewer attempts left nothing is tried: a person shall have the last one."""
_PIN = re.compile(r"[0-9]{4,8}")
_MAX_OCTETS = 1024


class PinRefusedError(Exception):
    """The PIN is not tried; says why, and never which it is."""


class PinGuard:
    """Gives the PIN away once, and remembers that in a file. Its methods block: call them in a thread."""

    def __init__(self, pin_file: Path | None, memory: Path | None) -> None:
        self._pin_file = pin_file
        self._memory = memory

    def take(self, left: int | None) -> str:
        """The PIN, to be tried now; `left` is how many attempts the SIM allows, if it says so. PinRefusedError."""
        if self._pin_file is None:
            raise PinRefusedError("no PIN is configured")
        if self._memory is None:
            raise PinRefusedError("there is no file in which an attempt could be remembered")
        if left is not None and left < MIN_LEFT:
            raise PinRefusedError(f"only {left} attempt is left, which is for a person")
        pin = self._read(self._pin_file)
        if self._was_tried(pin, left, self._memory):
            raise PinRefusedError(f"the PIN in {self._pin_file} was tried before, and did not open the SIM")
        self._remember(pin, left, self._memory)
        return pin

    def opened(self) -> None:
        """It was the right one: it may be taken again."""
        if self._memory is not None:
            try:
                self._memory.unlink(missing_ok=True)
            except OSError as error:
                raise PinRefusedError(f"{self._memory} cannot be removed: {error.strerror}") from error

    def _read(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_OCTETS).decode("ascii", "replace").strip()
        except OSError as error:
            raise PinRefusedError(f"{path} cannot be read: {error.strerror}") from error
        if _PIN.fullmatch(text) is None:
            raise PinRefusedError(f"{path} does not hold a PIN of 4 to 8 digits")
        return text

    def _was_tried(self, pin: str, left: int | None, memory: Path) -> bool:
        try:
            with memory.open("rb") as file:
                said = json.loads(file.read(_MAX_OCTETS))
            salt, digest, before = bytes.fromhex(said["salt"]), str(said["digest"]), said["left"]
        except FileNotFoundError:
            return False
        except OSError as error:
            raise PinRefusedError(f"{memory} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError):
            return True  # something was tried; who knows what
        if not secrets.compare_digest(_digest(pin, salt), digest):
            return False
        # as many are left as before: that attempt never came to the SIM, or somebody has opened it since
        return not (isinstance(before, int) and left is not None and left >= before)

    def _remember(self, pin: str, left: int | None, memory: Path) -> None:
        salt = secrets.token_bytes(16)
        said = {"salt": salt.hex(), "digest": _digest(pin, salt), "left": left}
        try:
            replace_file(memory, json.dumps(said).encode("ascii"))
        except OSError as error:
            raise PinRefusedError(f"an attempt cannot be remembered in {memory}: {error.strerror}") from error


def _digest(pin: str, salt: bytes) -> str:
    """To know a PIN again. It hides nothing from who can try ten thousand of them, and who reads this reads the PIN."""
    return hashlib.sha256(salt + pin.encode("ascii")).hexdigest()
