"""The officer's PIN and duress PIN: checked here and nowhere else, a few times only, whatever restarts between.

Under duress whoever stands beside must not notice: up to the answer both PINs take the same steps, and no log tells
them apart. Neither is ever in a message or a log.
"""

import asyncio
import hmac
import json
import logging
import re
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from bondmate.core.lockout import Lockout
from bondmate.errors import LocalError, StoreError
from bondmate.records import How, Moment

log = logging.getLogger(__name__)

PIN_FILE = "pin.json"
STATE = "lockout"
"""Under this name the wrong PINs in a row are kept in the store."""
ITERATIONS = 100_000
"""Of PBKDF2 (RFC 8018). It saves no four digits from whoever has the file; the lock-out saves them from all others."""
_VERSION = 1
_MAX_OCTETS = 4096
_MAX_ITERATIONS = 1_000_000
_SALT_OCTETS, _HASH_OCTETS = 16, 32
_FORM = re.compile(r"[0-9]{4,12}", re.ASCII)
_KEPT = struct.Struct(">Id")
"""How many failed in a row, and until when of the device's lifetime it is locked."""


class PinFileError(LocalError):
    """No PIN is set, or the file with it cannot be used; the text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class PinAnswer:
    """What became of a try; `how` is None for a refusal, else PIN or DURESS.

    `tries_left` is how many more wrong PINs there may be until it locks; None where no PIN can be checked at all, and
    then `trouble` says why. `locked_s` is for how long no PIN is looked at.
    """

    how: How | None
    tries_left: int | None = None
    locked_s: float = 0.0
    trouble: str | None = None


class KeepsState(Protocol):
    """Where the count outlives a restart."""

    async def get(self, name: str) -> bytes | None:
        """What was kept. Raises StoreError."""

    async def keep(self, name: str, octets: bytes | None, deadline_s: float) -> bool:
        """Have it kept; whether the store has it when this returns."""


class Ages(Protocol):
    """Tells how old the device is."""

    def moment(self) -> Moment:
        """Now."""


class OfficerPin:
    """All methods run in the event loop; the hash is computed in a thread."""

    def __init__(
        self,
        file: Path | None,
        states: KeepsState,
        ages: Ages,
        deadline_s: float,
        *,
        compare: Callable[[bytes, bytes], bool] = hmac.compare_digest,
    ) -> None:
        """The file is read at each try, so that a new PIN needs no restart; None: there is none."""
        self._file = file
        self._states = states
        self._ages = ages
        self._deadline_s = deadline_s
        self._compare = compare
        self._lockout = Lockout()
        self._resumed = False
        self._turn = asyncio.Lock()
        """One at a time: else many tries at once would all come before the first is counted."""

    async def resume(self) -> None:
        """Go on counting where an earlier session ended. Raises StoreError."""
        if self._resumed:
            return
        octets = await self._states.get(STATE)
        self._resumed = True
        if octets is None:
            return
        if len(octets) != _KEPT.size:
            log.error("the count of wrong PINs that was kept cannot be read: it begins anew")
            return
        failures, until_s = _KEPT.unpack(octets)
        # what was tried in this session, before the store could be read, counts too
        self._lockout.resume(failures + self._lockout.failures, max(until_s, self._lockout.until_s or 0.0))

    async def check(self, pin: str) -> PinAnswer:
        """Whether it is the PIN, or the one for duress.

        A wrong one is kept before this returns, so that a power cut gives no further try; while locked no PIN is
        looked at.
        """
        async with self._turn:
            await self._try_to_resume()
            if locked_s := self._lockout.locked_s(self._now()):
                return PinAnswer(None, 0, locked_s)
            try:
                how = await asyncio.to_thread(self._look, pin)
            except PinFileError as error:
                log.warning("a PIN cannot be checked: %s", error)
                return PinAnswer(None, trouble=str(error))
            if how is None:
                self._lockout.failed(self._now())
                log.warning("a wrong PIN, number %d in a row", self._lockout.failures)
            else:
                self._lockout.succeeded()
            await self._keep()
            locked_s = self._lockout.locked_s(self._now())
            return PinAnswer(how, 0 if locked_s else self._lockout.tries_left, locked_s)

    async def _try_to_resume(self) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self.resume()
        except (StoreError, TimeoutError) as error:
            log.warning("how many wrong PINs there were is not known yet: %s", str(error) or "the store hangs")

    async def _keep(self) -> None:
        if self._resumed:  # else what was kept would be lost
            octets = _KEPT.pack(self._lockout.failures, self._lockout.until_s or 0.0)
            await self._states.keep(STATE, octets, self._deadline_s)

    def _look(self, pin: str) -> How | None:
        """Both are compared always, whichever it is. Raises PinFileError. Blocks."""
        kept = _load(self._file)
        tried = _hash(pin, kept.salt, kept.iterations)
        is_true = self._compare(tried, kept.pin)
        is_duress = self._compare(tried, kept.duress or secrets.token_bytes(_HASH_OCTETS))
        return (None, How.PIN, How.DURESS)[is_true + 2 * is_duress]

    def _now(self) -> float:
        return self._ages.moment().lifetime_s


def has_form(pin: object) -> bool:
    """Whether it could be a PIN: 4 to 12 digits."""
    return isinstance(pin, str) and _FORM.fullmatch(pin) is not None


def document(pin: str, duress: str | None) -> bytes:
    """The content of a `pin.json`. ValueError for what cannot be a PIN, and for two that are equal."""
    for each in (pin, duress):
        if each is not None and not has_form(each):
            raise ValueError("a PIN has 4 to 12 digits")
    if pin == duress:
        raise ValueError("the duress PIN must differ from the PIN")
    salt = secrets.token_bytes(_SALT_OCTETS)
    hashes = [None if each is None else _hash(each, salt, ITERATIONS).hex() for each in (pin, duress)]
    content = {
        "version": _VERSION,
        "salt": salt.hex(),
        "iterations": ITERATIONS,
        "pin": hashes[0],
        "duress": hashes[1],
    }
    return json.dumps(content, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class _Kept:
    salt: bytes = field(repr=False)
    iterations: int
    pin: bytes = field(repr=False)
    duress: bytes | None = field(repr=False)


def _hash(pin: str, salt: bytes, iterations: int) -> bytes:
    # cryptography's, for it lets go of the interpreter, and hashlib's would need an OpenSSL of its own (lean.py)
    derived: bytes = PBKDF2HMAC(SHA256(), SHA256.digest_size, salt, iterations).derive(
        pin.encode("utf-8", errors="replace")
    )
    return derived


def _load(path: Path | None) -> _Kept:
    if path is None:
        raise PinFileError("no PIN is set")
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
    except FileNotFoundError:
        raise PinFileError("no PIN is set: bondmatectl config pin sets one") from None
    except OSError as error:
        raise PinFileError(f"{path}: {error.strerror}") from None
    try:
        if len(octets) > _MAX_OCTETS:
            raise ValueError  # noqa: TRY301 - one place says it
        return _read(json.loads(octets))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise PinFileError(f"{path} is no usable PIN file: set the PIN anew (bondmatectl config pin)") from None


def _read(content: dict[str, Any]) -> _Kept:
    iterations, duress = content["iterations"], content["duress"]
    if content["version"] != _VERSION or type(iterations) is not int or not 1 <= iterations <= _MAX_ITERATIONS:
        raise ValueError
    kept = _Kept(
        _octets(content["salt"], _SALT_OCTETS),
        iterations,
        _octets(content["pin"], _HASH_OCTETS),
        None if duress is None else _octets(duress, _HASH_OCTETS),
    )
    if kept.pin == kept.duress:
        raise ValueError
    return kept


def _octets(text: str, length: int) -> bytes:
    octets = bytes.fromhex(text)
    if len(octets) != length:
        raise ValueError
    return octets
