"""The simulator's pins for gpiozero: the device's own process uses them, unmodified, through the entry point.

gpiozero finds `SimulatedFactory` by the name `bondmate_sim` in the entry point group gpiozero_pin_factories. The pins
themselves live in another process (board.py), whose socket the environment variable BONDMATE_SIM_BOARD names. There is
no PWM, no SPI and no debouncing here: what the board's contacts do is what the device gets.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpiozero.exc import (
    BadPinFactory,
    PinError,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPull,
    PinInvalidState,
    PinSetInput,
)
from gpiozero.pins.pi import PiFactory, PiPin

from bondmate_sim.board_client import BoardClient
from bondmate_sim.errors import BoardUnreachableError, SimulatorError
from bondmate_sim.lines import Edge

ADDRESS_VARIABLE = "BONDMATE_SIM_BOARD"
PI_ZERO_2_W = 0x902120
"""The board that we claim to be: a revision code of the Raspberry Pi Zero 2 W."""

_log = logging.getLogger(__name__)


class SimulatedPin(PiPin):  # type: ignore[misc]
    """One line of the simulated board, as gpiozero's Pin."""

    def __init__(self, factory: "SimulatedFactory", info: Any) -> None:
        """`info` is gpiozero's PinInfo; the pin is left alone until it is given a function."""
        super().__init__(factory, info)
        self._function = "input"
        self._pull = info.pull or "floating"
        self._edges = "both"

    def close(self) -> None:
        """Stop watching, and let the line float. Never raises because of a board that is gone."""
        try:
            self.when_changed = None
            self._request("release")
            self._function = "input"
        except BoardGoneError:
            _log.debug("pin %s closed without its board", self._number)

    def deliver(self, edge: Edge) -> None:
        """Tell gpiozero of an edge; called in the factory's edge thread."""
        handler: Callable[[float, int], None] | None = self._get_when_changed()
        if handler is not None and self._edges in ("both", "rising" if edge.level else "falling"):
            handler(edge.t_ns / 1e9, edge.level)

    def output_with_state(self, state: Any) -> None:
        """Become an output that begins with `state` (0 or 1): one step, no glitch."""
        self._function = "output"
        self._set_state(state)

    def input_with_pull(self, pull: str) -> None:
        """Become an input with the resistor `pull`: up, down or floating."""
        self._function = "input"
        self._set_pull(pull)

    def _request(self, op: str, **fields: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._factory.client.request(op, pin=self._number, **fields)
        except BoardUnreachableError as error:
            raise BoardGoneError(str(error)) from error
        except SimulatorError as error:
            raise PinError(str(error)) from error
        return answer

    def _get_function(self) -> str:
        return self._function

    def _set_function(self, value: str) -> None:
        match value:
            case "input":
                self.input_with_pull(self._pull)
            case "output":
                self.output_with_state(0)
            case _:
                raise PinInvalidFunction(f"function of {self!r} must be input or output, not {value!r}")

    def _get_state(self) -> int:
        level: int = self._request("read")["level"]
        return level

    def _set_state(self, value: Any) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set the state of {self!r}: it is an input")
        if value not in (0, 1):
            raise PinInvalidState(f"state of {self!r} must be 0 or 1, not {value!r}: there is no PWM here")
        self._request("output", level=int(value), t_ns=time.monotonic_ns())

    def _get_pull(self) -> str:
        return self._pull

    def _set_pull(self, value: str) -> None:
        if self._function != "input":
            raise PinFixedPull(f"cannot set the pull of {self!r}: it is an output")
        if value not in ("up", "down", "floating"):
            raise PinInvalidPull(f"pull of {self!r} must be up, down or floating, not {value!r}")
        if self.info.pull and value != self.info.pull:
            raise PinFixedPull(f"{self!r} has a resistor on the board that pulls it {self.info.pull}")
        self._request("input", pull=value)
        self._pull = value

    def _set_bounce(self, value: float | None) -> None:
        if value is not None:
            raise PinInvalidBounce(f"{self!r} has no debouncing: bounce_time must be None")

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        if value not in ("none", "rising", "falling", "both"):
            raise PinInvalidEdges(f"edges of {self!r} must be none, rising, falling or both, not {value!r}")
        self._edges = value

    def _enable_event_detect(self) -> None:
        self._request("watch")

    def _disable_event_detect(self) -> None:
        self._request("unwatch")


class SimulatedFactory(PiFactory):  # type: ignore[misc]
    """gpiozero's factory of `SimulatedPin`s on the board that BONDMATE_SIM_BOARD names."""

    def __init__(self) -> None:
        """Connect to the board. Raises gpiozero's BadPinFactory when there is none."""
        super().__init__()
        address = os.environ.get(ADDRESS_VARIABLE)
        if not address:
            raise BadPinFactory(
                f"{ADDRESS_VARIABLE} is not set; it must name the socket of a running bondmate-sim board"
            )
        try:
            self.client = BoardClient(Path(address))
        except BoardUnreachableError as error:
            raise BadPinFactory(f"{ADDRESS_VARIABLE}={address}: {error}") from error
        self.pin_class = SimulatedPin
        self._closing = False
        self._edge_thread = threading.Thread(target=self._deliver_edges, name="board-edges", daemon=True)
        self._edge_thread.start()

    def close(self) -> None:
        """Close all pins and the connection."""
        self._closing = True
        super().close()
        self.client.close()
        if threading.current_thread() is not self._edge_thread:
            self._edge_thread.join()

    @staticmethod
    def ticks() -> float:
        """Seconds of CLOCK_MONOTONIC, the board's clock as well."""
        return time.monotonic()

    @staticmethod
    def ticks_diff(later: float, earlier: float) -> float:
        """Seconds between two ticks."""
        return later - earlier

    def _get_revision(self) -> int:
        return PI_ZERO_2_W

    def _deliver_edges(self) -> None:
        for edge in self.client.edges():
            pin = self._pin_numbered(edge.pin)
            if pin is None:
                continue
            try:
                pin.deliver(edge)
            except Exception:  # noqa: BLE001 - the supervisor of handlers, which logs
                # The thread outlives a handler that fails: the next press must still arrive.
                _log.exception("handler of %r failed on an edge to %d", pin, edge.level)
        if not self._closing:
            _log.error("%s: the simulated board went away; its pins can no longer be read", ADDRESS_VARIABLE)

    def _pin_numbered(self, number: int) -> SimulatedPin | None:
        for pin in list(self.pins.values()):
            if pin.info.name == f"GPIO{number}":
                found: SimulatedPin = pin
                return found
        return None


class BoardGoneError(PinError):  # type: ignore[misc]
    """The board's process ended, or hangs; nothing can be read or driven."""
