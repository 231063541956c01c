"""The pin factory that the configuration names, and nothing else: a silent fall-back would be a dead button."""

import contextlib
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from gpiozero import GPIOZeroError
from gpiozero.pins import Factory

from bondmate.errors import LocalError

GPIOD = "gpiod"
"""Our own factory's name, gpiod_factory.py: the only one that is told of which chip."""


@contextlib.contextmanager
def claiming(what: str, pin: int) -> Iterator[None]:
    """Tells what could not be done with which pin, as a LocalError."""
    try:
        yield
    except (GPIOZeroError, OSError, ValueError) as problem:
        raise LocalError(f"{what} at pin {pin} does not work: {problem}; see [gpio] in the configuration") from problem


def find_factory(name: str) -> EntryPoint:
    """The entry point of that name. Raises LocalError, naming those that exist."""
    known = entry_points(group="gpiozero_pin_factories")
    if name not in known.names:
        raise LocalError(f"gpio.factory: no pin factory is called {name!r}; there are {', '.join(sorted(known.names))}")
    return known[name]


def open_factory(name: str, chip: str = "auto") -> Factory:
    """Gpiozero's pin factory of that entry point's name; "gpiod" drives the chip of that label. Raises LocalError."""
    factory = find_factory(name)
    try:
        return factory.load()(*([chip] if name == GPIOD else []))
    except (GPIOZeroError, ImportError, OSError) as problem:
        raise LocalError(f"gpio.factory {name!r} does not work here: {problem}") from problem
