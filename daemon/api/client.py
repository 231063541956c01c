"""The client of the local API: HTTP over the device's Unix socket, for bondmatectl."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from bondmate.errors import BondMateError

DEFAULT_SOCKET = Path("/run/bondmate/api.sock")
TIMEOUT_S = 10.0
_MAX_ANSWER_OCTETS = 64 * 1024 * 1024


class UnreachableError(BondMateError):
    """Nobody answers on the socket."""


class NotAllowedError(BondMateError):
    """The socket exists, but is not for this user."""


class RefusedError(BondMateError):
    """The daemon answered, and did not do it."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(path: Path, method: str, resource: str, body: dict[str, Any] | None = None) -> Any:
    """One request and its answer as JSON. Raises UnreachableError, NotAllowedError or RefusedError."""
    connection = _UnixConnection(path)
    try:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, resource, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read(_MAX_ANSWER_OCTETS))
    except PermissionError as error:
        raise NotAllowedError(f"{path} is not open to this user: use sudo, or join the group bondmate") from error
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            f"bondmated does not answer on {path} ({error}): is it running? (systemctl status bondmated)"
        ) from error
    except ValueError as error:
        raise RefusedError(f"bondmated answered something that is not JSON: {error}") from error
    finally:
        connection.close()
    if response.status >= http.client.BAD_REQUEST:
        raise RefusedError(answer["error"] if isinstance(answer, dict) and "error" in answer else response.reason)
    return answer
