"""Bearers: how a submission gets to the gateway."""
