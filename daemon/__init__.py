"""BondMate: the daemon of a police officer's pocket device."""

__version__ = "0.1.0"
