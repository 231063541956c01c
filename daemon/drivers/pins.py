"""The pin factory that the configuration names, and nothing else: a silent fall-back would be a dead button."""

import logging
from importlib.metadata import entry_points

from gpiozero import GPIOZeroError
from gpiozero.pins import Factory

from bondmate.errors import LocalError

log = logging.getLogger(__name__)


def open_factory(name: str) -> Factory:
    """Gpiozero's pin factory of that entry point's name. Raises LocalError, naming those that exist."""
    known = entry_points(group="gpiozero_pin_factories")
    if name not in known.names:
        raise LocalError(f"gpio.factory: no pin factory is called {name!r}; there are {', '.join(sorted(known.names))}")
    try:
        return known[name].load()()
    except (GPIOZeroError, ImportError, OSError) as problem:
        raise LocalError(f"gpio.factory {name!r} does not work here: {problem}") from problem
