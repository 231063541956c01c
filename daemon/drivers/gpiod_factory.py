"""gpiozero's pins over libgpiod, the kernel's own interface: the board's factory, found by the name "gpiod".

A chip is found by its label, and a pin is the offset of a line on it; on a Raspberry Pi that is its BCM number. Edges
have the kernel's times and are told in the event loop: no thread, no debouncing, no PWM, no SPI.
"""

import asyncio
import dataclasses
import errno
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import gpiod
from gpiod.line import Bias, Direction, Edge, Value
from gpiozero.exc import (
    BadPinFactory,
    GPIOPinInUse,
    PinError,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPin,
    PinInvalidPull,
    PinInvalidState,
    PinSetInput,
)
from gpiozero.pins import PinInfo
from gpiozero.pins.pi import PiFactory, PiPin

log = logging.getLogger(__name__)

AUTO = "auto"
BOARDS_CHIPS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
"""Linux's labels of the chips behind the pins of a Raspberry Pi: up to 3 and Zero 2 W; 4 and CM4; 5 and CM5."""
CONSUMER = "bondmate"
"""As whom the kernel shows a line's user to others (gpioinfo)."""
EVENTS = 128
"""How many edges the kernel keeps until they are read, and then drops the oldest. A bouncing contact makes a dozen."""

_PULLS = {"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "floating": Bias.DISABLED}
_EDGES = {"none": Edge.NONE, "rising": Edge.RISING, "falling": Edge.FALLING, "both": Edge.BOTH}


class GpiodPin(PiPin):  # type: ignore[misc]
    """One line of the chip, as gpiozero's Pin. It is requested from the kernel when it is given a function."""

    def __init__(self, factory: "GpiodFactory", info: PinInfo) -> None:
        """The line is left alone until it is given a function."""
        super().__init__(factory, info)
        self._request: gpiod.LineRequest | None = None
        """Set while the line is ours."""
        self._settings = gpiod.LineSettings(direction=Direction.INPUT)
        self._edges = "both"
        self._loop: asyncio.AbstractEventLoop | None = None
        """Set while edges are told."""
        self._last_edge = 0
        """The kernel's number of the edge that was read last; it counts from 1 for each request."""

    def close(self) -> None:
        """Let the line float as at power-up, and give it back. Never raises because of a chip that is gone."""
        try:
            self.when_changed = None
            if self._settings.direction is Direction.OUTPUT:
                self._set(direction=Direction.INPUT)
        except OSError as error:
            log.debug("%r closed without its chip: %s", self, error)
        if self._request is not None:
            self._request.release()
            self._request = None
        self._settings = gpiod.LineSettings(direction=Direction.INPUT)

    def output_with_state(self, state: Any) -> None:
        """Become an output that begins with `state` (0 or 1): one step, no glitch."""
        self._set(direction=Direction.OUTPUT, bias=Bias.AS_IS, output_value=Value(self._level(state)))

    def input_with_pull(self, pull: str) -> None:
        """Become an input with the resistor `pull`: up, down or floating."""
        if pull not in _PULLS:
            raise PinInvalidPull(f"pull of {self!r} must be up, down or floating, not {pull!r}")
        self._set(direction=Direction.INPUT, bias=_PULLS[pull])

    def _set(self, **changes: Any) -> None:
        """Change how the line is set. Raises gpiozero's errors, and OSError."""
        settings = dataclasses.replace(self._settings, **changes)
        if self._request is None:
            self._request = self._factory.claim(self._number, settings)
            self._last_edge = 0
        else:
            self._request.reconfigure_lines({self._number: settings})
        self._settings = settings

    def _ours(self) -> gpiod.LineRequest:
        if self._request is None:
            raise PinError(f"{self!r} is closed, or was given no function yet")
        return self._request

    def _level(self, state: Any) -> int:
        if state not in (0, 1):
            raise PinInvalidState(f"state of {self!r} must be 0 or 1, not {state!r}: there is no PWM here")
        return int(state)

    def _get_function(self) -> str:
        return "output" if self._settings.direction is Direction.OUTPUT else "input"

    def _set_function(self, value: str) -> None:
        match value:
            case "input":
                self._set(direction=Direction.INPUT)
            case "output":
                self.output_with_state(0)
            case _:
                raise PinInvalidFunction(f"function of {self!r} must be input or output, not {value!r}")

    def _get_state(self) -> int:
        return int(bool(self._ours().get_value(self._number)))

    def _set_state(self, value: Any) -> None:
        if self._settings.direction is not Direction.OUTPUT:
            raise PinSetInput(f"cannot set the state of {self!r}: it is an input")
        self._ours().set_value(self._number, Value(self._level(value)))

    def _get_pull(self) -> str:
        return next((pull for pull, bias in _PULLS.items() if bias is self._settings.bias), "floating")

    def _set_pull(self, value: str) -> None:
        if self._settings.direction is Direction.OUTPUT:
            raise PinFixedPull(f"cannot set the pull of {self!r}: it is an output")
        self.input_with_pull(value)

    def _set_bounce(self, value: float | None) -> None:
        if value is not None:
            raise PinInvalidBounce(f"{self!r} has no debouncing: bounce_time must be None")

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        if value not in _EDGES:
            raise PinInvalidEdges(f"edges of {self!r} must be none, rising, falling or both, not {value!r}")
        self._edges = value
        if self._loop is not None:
            self._set(edge_detection=_EDGES[value])

    def _enable_event_detect(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._set(edge_detection=_EDGES[self._edges])
        self._loop.add_reader(self._ours().fd, self._read_edges)

    def _disable_event_detect(self) -> None:
        if self._loop is not None and self._request is not None:
            # after the loop has closed it watches nothing, and minds not
            self._loop.remove_reader(self._request.fd)
            self._loop = None
            self._set(edge_detection=Edge.NONE)

    def _read_edges(self) -> None:
        request = self._ours()
        try:
            events = request.read_edge_events(EVENTS)
        except OSError as error:
            # it would be readable for ever; whoever reads the level now gets the error too
            log.error("%r tells no edges any more: %s", self, error)  # noqa: TRY400 - no bug of ours
            asyncio.get_running_loop().remove_reader(request.fd)
            return
        lost = 0
        for event in events:
            lost += event.line_seqno - self._last_edge - 1
            self._last_edge = event.line_seqno
            rose = event.event_type is event.Type.RISING_EDGE
            self._tell(event.timestamp_ns / 1e9, int(rose))
        if lost:
            # what was lost can no more be told, but how the contact is now can
            log.warning("%r: %d edges came faster than they could be read", self, lost)
            self._tell(monotonic(), self._get_state())

    def _tell(self, at: float, level: int) -> None:
        handler: Callable[[float, int], None] | None = self._get_when_changed()
        if handler is not None:
            handler(at, level)


class GpiodFactory(PiFactory):  # type: ignore[misc]
    """gpiozero's factory of `GpiodPin`s on one GPIO chip."""

    def __init__(self, chip: str = AUTO) -> None:
        """`chip` is its label, or "auto" for that of a known board. Raises gpiozero's BadPinFactory, OSError."""
        super().__init__()
        self.pin_class = GpiodPin
        self._path, self._label = _find(chip)
        self._chip = gpiod.Chip(str(self._path))
        self._lines = self._chip.get_info().num_lines

    def close(self) -> None:
        """Give all lines back, and close the chip."""
        super().close()
        self._chip.close()

    def pin(self, name: Any) -> GpiodPin:
        """The pin of that number. Raises gpiozero's PinInvalidPin."""
        try:
            found: GpiodPin = super().pin(name)
            return found
        except PinInvalidPin:
            raise PinInvalidPin(f"{self._label} ({self._path}) has the lines 0 to {self._lines - 1}") from None

    def find_pin(self, name: Any) -> Iterator[tuple[None, PinInfo]]:
        """What gpiozero asks of its board: the pin of that number, or of the name that a PinInfo has."""
        number = next((number for number in range(self._lines) if name in (number, f"GPIO{number}")), None)
        if number is not None:
            own = f"GPIO{number}"
            yield None, PinInfo(number, own, frozenset({number, own}), "", 0, 0, frozenset({"gpio"}))

    def claim(self, number: int, settings: gpiod.LineSettings) -> gpiod.LineRequest:
        """Request a line from the kernel. Raises gpiozero's GPIOPinInUse, which says who has it, and OSError."""
        try:
            return self._chip.request_lines({number: settings}, consumer=CONSUMER, event_buffer_size=EVENTS)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            holder = self._chip.get_line_info(number).consumer or "the kernel"
            raise GPIOPinInUse(
                f"line {number} of {self._label} is in use by {holder!r}; stop that, or take another pin"
            ) from error

    def _get_board_info(self) -> "GpiodFactory":
        return self

    @staticmethod
    def ticks() -> float:
        """Seconds of CLOCK_MONOTONIC, the clock of the kernel's edges as well."""
        return monotonic()

    @staticmethod
    def ticks_diff(later: float, earlier: float) -> float:
        """Seconds between two ticks."""
        return later - earlier


def _find(wanted: str) -> tuple[Path, str]:
    """Path and label of the chip that is called so, or for "auto" of a board's. Raises BadPinFactory, OSError."""
    found: dict[str, Path] = {}
    for path in sorted(Path("/dev").glob("gpiochip*")):
        if path.is_symlink():
            continue
        with gpiod.Chip(str(path)) as chip:
            found.setdefault(chip.get_info().label, path)
    for label in BOARDS_CHIPS if wanted == AUTO else (wanted,):
        if label in found:
            return found[label], label
    there = f"there are {', '.join(sorted(found))}" if found else "this machine has none (/dev/gpiochip*)"
    looked_for = f"of a known board ({', '.join(BOARDS_CHIPS)})" if wanted == AUTO else f"labelled {wanted!r}"
    raise BadPinFactory(f"no GPIO chip {looked_for}; {there}. Set gpio.chip to the label of the one with the button")
