"""A message centre for the tests: one client, in JSON lines, each step as the test says."""

import itertools
import json
import socket
from typing import Any

NUMBER = "+4915550001"
WAIT_S = 20.0


class MessageCentre:
    """Listens at a free port of the loopback."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.port: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None
        self._lines: Any = None
        self._heard: list[dict[str, Any]] = []
        self._names = itertools.count(1)

    def __enter__(self) -> "MessageCentre":
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._listener.close()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self) -> None:
        """Wait for a client."""
        self.hang_up()
        self._client, _ = self._listener.accept()
        self._client.settimeout(WAIT_S)
        self._lines = self._client.makefile("rb")
        self._heard = []

    def attach(self) -> None:
        """Wait for a client, and let it attach."""
        self.accept()
        assert self.hear("attach") == {"type": "attach", "number": NUMBER}
        self.say({"type": "attached", "number": NUMBER})

    def hang_up(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._lines.close()
            self._client.close()
            self._client = None

    def say(self, message: Any) -> None:
        """Say one message, or octets as they are."""
        assert self._client is not None
        self._client.sendall(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")

    def deliver(self, sender: str, octets: bytes, **other: Any) -> str:
        """Deliver a message and return its id."""
        name = f"c{next(self._names)}"
        data = {"dcs": 4, "udhi": False, "udl": len(octets), "ud": octets.hex()}
        head = {"type": "deliver", "id": name, "from": sender, "time": "2026-11-26T10:00:00Z"}
        self.say({**head, **data, **other})
        return name

    def hear(self, kind: str) -> dict[str, Any]:
        """Wait for the client's next message of a kind; others stay for later."""
        for message in self._heard:
            if message["type"] == kind:
                self._heard.remove(message)
                return message
        while True:
            line = self._lines.readline()
            assert line.endswith(b"\n"), "the client closed the connection"
            message = json.loads(line)
            if message["type"] == kind:
                return dict(message)
            self._heard.append(message)

    def acknowledged(self, name: str) -> None:
        """Wait for the acknowledgement of one message."""
        assert self.hear("acknowledged") == {"type": "acknowledged", "id": name}

    def submitted(self, number: str) -> bytes:
        """Wait for a message to a number, take it, and return its octets."""
        message = self.hear("submit")
        octets = bytes.fromhex(message["ud"])
        assert {key: message[key] for key in ("to", "dcs", "udhi", "udl")} == {
            "to": number,
            "dcs": 4,
            "udhi": False,
            "udl": len(octets),
        }
        self.say({"type": "submitted", "id": message["id"]})
        return octets

    @property
    def unheard(self) -> list[dict[str, Any]]:
        """What was said beside what was waited for."""
        return self._heard
