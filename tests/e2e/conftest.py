"""A world for each test, and what its tap saw, read as CoAP and OSCORE."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from aiocoap import Message, oscore

from bondmate.cli import main as bondmatectl
from bondmate_sim.commands import CommandError
from bondmate_sim.gateway.cli import main as gateway
from bondmate_sim.process import wait_until
from bondmate_sim.world import Settings, World

HOLD_S = 0.2
DELIVERED_S = 25.0


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Make a world with a short hold; whatever runs in it ends with the test."""
    worlds: list[World] = []

    def make(**settings: object) -> World:
        world = World(tmp_path / f"world-{len(worlds)}", Settings(**({"hold_s": HOLD_S} | settings)))  # type: ignore[arg-type]
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world in which everything runs."""
    made = make_world()
    made.start()
    return made


def press(world: World) -> None:
    """Hold the button a little longer than it must be held."""
    world.press(HOLD_S + 0.1)


def _printed(command: Callable[[list[str]], int], *words: str | Path) -> Any:
    """What one of our commands prints as JSON, run in this process: tests ask often, and processes cost minutes."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = command([*map(str, words), "--json"])
    if code != 0:
        raise CommandError(err.getvalue(), code)
    return json.loads(out.getvalue())


def ctl(world: World, *words: str) -> Any:
    """`bondmatectl … --json`, parsed. Raises CommandError."""
    return _printed(bondmatectl, "--socket", world.api_socket, *words)


def alerts(world: World) -> list[dict[str, object]]:
    """The alerts at the gateway."""
    shown: list[dict[str, object]] = _printed(gateway, "alerts", "--data", world.gateway_data)
    return shown


def calls(world: World) -> list[dict[str, Any]]:
    """The calls at the gateway: alerts, and what escalates them, each as the alert that it belongs to."""
    return [row | each for row in alerts(world) for each in ({}, *cast("list[dict[str, Any]]", row["escalations"]))]


def wait_for_alerts(world: World, number: int) -> list[dict[str, object]]:
    """The alerts at the gateway, as soon as there are so many."""
    return wait_until(
        lambda: shown if len(shown := alerts(world)) >= number else None, DELIVERED_S, f"{number} alerts at the gateway"
    )


def wait_for_state(world: World, state: str) -> dict[str, object]:
    """The device's newest alert, as soon as it is in that state."""

    def look() -> dict[str, object] | None:
        alert: dict[str, object] | None = ctl(world, "alert", "show")
        return alert if alert is not None and alert["state"] == state else None

    return wait_until(look, DELIVERED_S, f"the alert to be {state}")


@dataclass(frozen=True)
class Nonce:
    """What makes an OSCORE nonce, as it stands on the wire."""

    session: bytes
    kid: bytes
    number: bytes


def nonces(world: World) -> dict[Nonce, set[bytes]]:
    """For each nonce that the device used in a request, the ciphertexts sent under it."""
    seen: dict[Nonce, set[bytes]] = {}
    for datagram in world.datagrams():
        message = Message.decode(datagram.data)
        if datagram.direction == "up" and message.code.is_request():
            _, _, unprotected, ciphertext = oscore.CanUnprotect._extract_encrypted0(message)
            nonce = Nonce(
                unprotected[oscore.COSE_KID_CONTEXT], unprotected[oscore.COSE_KID], unprotected[oscore.COSE_PIV]
            )
            seen.setdefault(nonce, set()).add(ciphertext)
    return seen
