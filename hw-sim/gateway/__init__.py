"""The reference gateway: the other end of the wire, read from docs/protocol.md and docs/bondmate.cddl alone.

It imports nothing of the daemon and nothing of the rest of the simulator, so that a shared bug cannot hide.
"""
