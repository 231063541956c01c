"""The client of the local API: HTTP over the device's Unix socket, for bondmatectl."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bondmate.errors import BondMateError

DEFAULT_SOCKET = Path("/run/bondmate/api.sock")
TIMEOUT_S = 10.0
"""Longer than the longest silence between two events, too."""
_KNOCK_EVERY_S = 0.05
_MAX_ANSWER_OCTETS = 64 * 1024 * 1024
_MAX_LINE_OCTETS = 4 * 1024 * 1024
"""Of an event: the inbox is one line."""


class UnreachableError(BondMateError):
    """Nobody answers on the socket."""


class RefusedError(BondMateError):
    """The daemon answered, and did not do it; `answer` is what it said beside the reason.

    `is_final` is False where it may do it later (HTTP 5xx).
    """

    def __init__(self, text: str, answer: dict[str, Any] | None = None, *, is_final: bool = True) -> None:
        super().__init__(text)
        self.answer = answer or {}
        self.is_final = is_final


class NotAllowedError(RefusedError):
    """The socket, or what is asked for, is not for this user; or a PIN is wanted, or was wrong."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                self.sock.connect(str(self._path))
            except BlockingIOError:  # others wait before the door already, and a Unix socket has no queue for that
                if time.monotonic() > deadline:
                    raise
                time.sleep(_KNOCK_EVERY_S)
            else:
                return


def call(path: Path, method: str, resource: str, body: dict[str, Any] | None = None) -> Any:
    """One request and its answer as JSON. Raises UnreachableError, NotAllowedError or RefusedError."""
    connection = _UnixConnection(path)
    try:
        return _answer(_ask(connection, path, method, resource, body), path)
    finally:
        connection.close()


def events(path: Path) -> Iterator[tuple[str, Any]]:
    """The events of the device, name and data. Raises as `call` does, and UnreachableError when they end."""
    connection = _UnixConnection(path)
    try:
        response = _ask(connection, path, "GET", "/events", None)
        if response.status != http.client.OK:
            _answer(response, path)
        name = ""
        while line := _line(response, path):
            kind, _, text = line.decode().rstrip("\r\n").partition(": ")
            if kind == "event":
                name = text
            elif kind == "data":
                yield name, json.loads(text)
        raise _unreachable(path, "it hung up")
    finally:
        connection.close()


def _line(response: http.client.HTTPResponse, path: Path) -> bytes:
    try:
        return response.readline(_MAX_LINE_OCTETS)
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(path, error) from error


def _ask(
    connection: http.client.HTTPConnection, path: Path, method: str, resource: str, body: dict[str, Any] | None
) -> http.client.HTTPResponse:
    headers = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, resource, None if body is None else json.dumps(body), headers)
        return connection.getresponse()
    except PermissionError as error:
        raise NotAllowedError(f"{path} is not open to this user: use sudo, or join the group bondmate") from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(path, error) from error


def _answer(response: http.client.HTTPResponse, path: Path) -> Any:
    try:
        answer = json.loads(response.read(_MAX_ANSWER_OCTETS))
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(path, error) from error
    except ValueError as error:
        raise RefusedError(f"bondmated answered something that is not JSON: {error}") from error
    if response.status >= http.client.BAD_REQUEST:
        said = answer if isinstance(answer, dict) and "error" in answer else {"error": response.reason}
        kind = NotAllowedError if response.status == http.client.FORBIDDEN else RefusedError
        final = response.status < http.client.INTERNAL_SERVER_ERROR
        raise kind(str(said["error"]), said, is_final=final)
    return answer


def _unreachable(path: Path, why: object) -> UnreachableError:
    return UnreachableError(
        f"bondmated does not answer on {path} ({why}): is it running? (systemctl status bondmated)"
        " What did it say last? (journalctl -u bondmated -n 20) Is that its socket? (--socket, $BONDMATE_SOCKET)"
    )
