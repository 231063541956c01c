"""What was done under an `Idempotency-Key` is not done again: the first answer is given instead.

For whoever does not know whether a request arrived. Knows nothing of HTTP; in memory alone, and bounded.
"""

import hashlib
import re
import secrets
from typing import Generic, TypeVar

from bondmate.errors import BondMateError

T = TypeVar("T")

CAPACITY = 256
KEY = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


class MismatchError(BondMateError):
    """The key stands for another request."""


class Answers(Generic[T]):
    """The answers of the last requests that had a key, the oldest first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: dict[tuple[str, ...], tuple[bytes, T]] = {}
        self._secret = secrets.token_bytes(16)
        """A body may hold a PIN: only what nobody can compute from outside is kept of it."""

    def find(self, key: tuple[str, ...], body: bytes) -> T | None:
        """The answer under this key; None if there is none. MismatchError if it was another body."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept[0] != self._print(body):
            raise MismatchError("this Idempotency-Key was used for another request: take a new one")
        return kept[1]

    def keep(self, key: tuple[str, ...], body: bytes, answer: T) -> None:
        """Keep an answer, and forget the oldest if there are too many."""
        self._kept[key] = self._print(body), answer
        if len(self._kept) > self._capacity:
            del self._kept[next(iter(self._kept))]

    def forget(self, key: tuple[str, ...]) -> None:
        """Nothing was done: the next try is a first one."""
        self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)

    def _print(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._secret, digest_size=16).digest()
