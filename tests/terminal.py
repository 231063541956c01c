"""Terminals in tests: what a program printed on one."""

import os


def rest(terminal: int) -> bytes:
    """What comes until the program lets go of its end."""
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:
        pass  # Linux says so at the end of a terminal
    return shown
