"""The errors of BondMate, by whose fault they are.

One root; below it ours, theirs and the link's. Messages say what happened, to which thing, and what to do next.
"""

from enum import Enum


class BondMateError(Exception):
    """Root of every error that this package raises on purpose."""


class LocalError(BondMateError):
    """This device's own fault: its configuration, its credentials, its disk."""


class ConfigurationError(LocalError):
    """The configuration or the credentials cannot be used.

    `problems` has one line for each fault found, all of them at once.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreTrouble(Enum):
    """What is the matter with the store; docs/reliability.md says what the device does about each."""

    FULL = "full"
    READ_ONLY = "read-only"
    IO = "io"
    DAMAGED = "damaged"
    HANGING = "hanging"
    OTHER = "other"


class StoreError(LocalError):
    """The outbox could not be opened, read or written."""

    def __init__(self, message: str, trouble: StoreTrouble = StoreTrouble.OTHER) -> None:
        super().__init__(message)
        self.trouble = trouble


class RemoteError(BondMateError):
    """The other side sent something that cannot be accepted."""


class LinkError(BondMateError):
    """Nothing usable came back over a bearer or a serial line: weather, never final."""


class UnsureError(LinkError):
    """It may have gone out, or not: nobody knows before a receipt comes."""


class UnfitError(LinkError):
    """The bearer can never take it: it is too long."""


class UnauthorizedError(LinkError):
    """A plain 4.01: the gateway could not verify us, or somebody on the way says so."""
