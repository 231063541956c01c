"""What a person at the gateway does about updates: bundles and rollouts, as objects of the command line's `--json`.

Each takes the database, what was said on the command line, and the time (UTC in ms). All of it raises
bundles.BundleError, rollouts.RolloutError, apsw.Error and OSError.
"""

import argparse
from typing import Any

from bondmate_sim.gateway import bundles, rollouts
from bondmate_sim.gateway.bundles import Bundle
from bondmate_sim.gateway.database import Database
from bondmate_sim.gateway.rollouts import Order
from bondmate_sim.gateway.view import utc_text

_DAY_MS = 24 * 3600 * 1000


def bundle_add(database: Database, arguments: argparse.Namespace, now_ms: int) -> dict[str, Any]:
    """Keep a bundle."""
    return _bundle(bundles.add(database, arguments.data, arguments.file, arguments.version, now_ms))


def bundle_list(database: Database, _arguments: argparse.Namespace, _now_ms: int) -> list[dict[str, Any]]:
    """Return the bundles."""
    return [_bundle(each) for each in bundles.every(database)]


def bundle_remove(database: Database, arguments: argparse.Namespace, now_ms: int) -> dict[str, Any]:
    """Serve a bundle no more."""
    removed = rollouts.remove_bundle(database, arguments.version, now_ms)
    bundles.path(arguments.data, removed).unlink(missing_ok=True)
    return _bundle(removed)


def rollout_start(database: Database, arguments: argparse.Namespace, now_ms: int) -> dict[str, Any]:
    """Begin a rollout."""

    def size(devices: int) -> int:
        return int(arguments.batch or -(-devices * arguments.percent // 100))

    order = Order(arguments.by, arguments.at_once, arguments.tolerate, arguments.overdue_days * _DAY_MS)
    made = rollouts.start(database, arguments.version, arguments.groups, size, order, now_ms)
    (shown,) = (each for each in rollouts.status(database, now_ms) if each["rollout"] == made)
    return shown


def rollout_status(database: Database, _arguments: argparse.Namespace, now_ms: int) -> list[dict[str, Any]]:
    """Return the rollouts."""
    return rollouts.status(database, now_ms)


def rollout_stop(database: Database, arguments: argparse.Namespace, now_ms: int) -> list[dict[str, Any]]:
    """Stop one or all."""
    rollouts.stop(database, arguments.rollout, arguments.by, now_ms)
    return rollouts.status(database, now_ms)


def rollout_resume(database: Database, arguments: argparse.Namespace, now_ms: int) -> list[dict[str, Any]]:
    """Go on with one."""
    rollouts.resume(database, arguments.rollout, now_ms)
    return rollouts.status(database, now_ms)


def _bundle(bundle: Bundle) -> dict[str, Any]:
    return {
        "version": bundle.version,
        "name": bundle.name,
        "octets": bundle.octets,
        "sha256": bundle.sha256.hex(),
        "added_at": utc_text(bundle.added_ms),
    }
