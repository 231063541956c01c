"""bondmate-updater: fetches an update that the gateway ordered, has it installed, and answers for what came of it.

A process of its own, without keys and without rights but to ask RAUC (docs/updates.md). Whether the time is right the
daemon says; whether a bundle is genuine RAUC says, and whether it may be installed here accept_bundle.py.
"""
