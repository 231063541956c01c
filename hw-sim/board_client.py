"""A blocking client of the board's socket, for programs without an event loop: pin factory, press, pins, world.

One thread reads the socket; it never calls anybody back, so a request may be made from anywhere. Edges wait in a queue.
"""

import contextlib
import itertools
import json
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondmate_sim.errors import BoardUnreachableError, SimulatorError
from bondmate_sim.lines import Edge

ANSWER_TIMEOUT_S = 5.0
"""The board answers in well under a millisecond; this long, and it hangs."""
MAX_LINE_OCTETS = 16_384


@dataclass(frozen=True, slots=True)
class Hold:
    """One press as the board timed it, CLOCK_MONOTONIC."""

    pressed_ns: int
    released_ns: int


class BoardClient:
    """A connection to a board. Use it as a context manager, or call close()."""

    def __init__(self, path: Path) -> None:
        """Connect to the socket `path`. Raises BoardUnreachableError."""
        self._path = path
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._edges: queue.SimpleQueue[Edge | None] = queue.SimpleQueue()
        self._gone = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise BoardUnreachableError(
                f"no board answers at {path} ({error.strerror or error}); start one: bondmate-sim board --socket {path}"
            ) from error
        self._reader = threading.Thread(target=self._read, name="board-reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> "BoardClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def request(self, op: str, *, timeout_s: float = ANSWER_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises BoardUnreachableError when the board is gone or silent, SimulatorError when it refuses.
        """
        number = next(self._numbers)
        answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with self._lock:
            if self._gone:
                raise self._gone_error()
            self._waiting[number] = answers
            try:
                self._socket.sendall(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
            except OSError as error:
                del self._waiting[number]
                raise self._gone_error() from error
        try:
            answer = answers.get(timeout=timeout_s)
        except queue.Empty:
            raise BoardUnreachableError(f"the board at {self._path} did not answer {op} in {timeout_s:g} s") from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if answer is None:
            raise self._gone_error()
        if "error" in answer:
            raise SimulatorError(f"the board at {self._path} refuses: {answer['error']}")
        return answer

    def hold(self, pin: int, seconds: float) -> Hold:
        """Press the button at `pin` for so long; returns after its release."""
        answer = self.request("hold", timeout_s=seconds + ANSWER_TIMEOUT_S, pin=pin, seconds=seconds)
        return Hold(answer["pressed_ns"], answer["released_ns"])

    def edges(self) -> Iterator[Edge]:
        """The edges of all watched pins, in order, as they come; ends when the connection does."""
        while (edge := self._edges.get()) is not None:
            yield edge

    def close(self) -> None:
        """End the connection; the lines it claimed float again."""
        # Only a shutdown wakes a thread that sits in recv(); the close follows when the thread has left.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._reader:
            self._reader.join()
        self._socket.close()

    def _gone_error(self) -> BoardUnreachableError:
        return BoardUnreachableError(f"the board at {self._path} went away; start it again, then its clients")

    def _read(self) -> None:
        pending = b""
        try:
            while len(pending) <= MAX_LINE_OCTETS and (received := self._socket.recv(65_536)):
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
        except OSError:
            pass  # reset by the board's death: the same as its end of file
        finally:
            with self._lock:
                self._gone = True
                for answers in self._waiting.values():
                    answers.put(None)
            self._edges.put(None)

    def _take(self, message: dict[str, Any]) -> None:
        if "edge" in message:
            self._edges.put(Edge(**message["edge"]))
            return
        with self._lock:
            answers = self._waiting.get(message["id"])
        if answers is not None:
            answers.put(message)
