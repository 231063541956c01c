"""Who is let in, and what every answer says to the browser. Pure: no I/O, and `now` comes in as an argument.

The page is for one browser on this board. Whatever else reaches the port (another user's program, a page of some web
site in another browser, a name that resolves to 127.0.0.1) is refused here.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

COOKIE = "bondmate-console"
WRITE_HEADER = "X-BondMate"
"""On each write. Another site's form cannot set it, and its script only where we agreed, which we never do."""
TRIES, TRIES_S = 10, 60.0
"""So many wrong tokens in so long, and then no other wrong one counts. Nobody guesses 256 bits; this bounds the log."""

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Server": "bondmate-console",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status, and why."""

    status: int
    why: str


class Gate:
    """Of one console: its address and its token."""

    def __init__(self, authority: str, token: str) -> None:
        """`authority` is host and port as they stand in an address, `127.0.0.1:8480`."""
        self._authority = authority
        self._origin = f"http://{authority}"
        self._token = token
        # It follows from the token: a console that is started again needs no memory to know it.
        self.cookie = hmac.new(token.encode(), b"bondmate console session 1", hashlib.sha256).hexdigest()
        self._wrong: deque[float] = deque(maxlen=TRIES)

    def refuse(self, method: str, headers: Mapping[str, str], *, is_shell: bool) -> Refusal | None:
        """Why this request may not be what it looks like, or None. `is_shell`: for a file of the bare page."""
        if headers.get("Host") != self._authority:
            return Refusal(421, f"this is {self._authority} and no other host")
        if is_shell and method in ("GET", "HEAD"):
            return None
        if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return Refusal(403, "another site asks")
        if headers.get("Origin", self._origin if method == "GET" else "") != self._origin:
            return Refusal(403, "the page of another origin, or none, asks")
        if method != "GET" and headers.get(WRITE_HEADER) != "1":
            return Refusal(403, f"a write carries the header {WRITE_HEADER}: 1")
        return None

    def knows(self, cookie: str | None) -> bool:
        """Whether this is the cookie of a browser that was let in."""
        return _same(cookie or "", self.cookie)

    def enter(self, token: str, now: float) -> Refusal | None:
        """None if the token is the right one. `now` is any monotonic clock's, in seconds."""
        # first: who guesses must not keep the kiosk out
        if _same(token, self._token):
            return None
        if self.wait_s(now) > 0:
            return Refusal(429, "too many wrong tokens: wait")
        self._wrong.append(now)
        return Refusal(401, "this is not the token: start the kiosk's browser again")

    def wait_s(self, now: float) -> float:
        """For how long every wrong token is told to wait."""
        return max(0.0, self._wrong[0] + TRIES_S - now) if len(self._wrong) == TRIES else 0.0


def _same(given: str, known: str) -> bool:
    # digests, for compare_digest tells lengths apart, and takes no text that is not ASCII
    return hmac.compare_digest(hashlib.sha256(given.encode(errors="replace")).digest(), _digest(known))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
