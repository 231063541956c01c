"""What the simulator's tools tell a person when they cannot go on. It holds no logic."""


class SimulatorError(Exception):
    """It failed: the text says what, to which thing, and what to do next. The tool exits with 1."""


class BoardUnreachableError(SimulatorError):
    """No board answers at that socket, or it went away. The tool exits with 3."""


class ControlUnreachableError(SimulatorError):
    """Nobody answers at that control socket, or whoever did went away. The tool exits with 3."""
