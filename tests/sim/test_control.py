import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bondmate_sim.control import MAX_CLIENTS, ControlClient, control_socket
from bondmate_sim.errors import ControlUnreachableError, SimulatorError

T = TypeVar("T")


def suffer(action: dict[str, Any]) -> dict[str, Any]:
    if action.get("op") != "greet":
        raise ValueError("I only greet")
    return {"greeting": f"hello {action['name']}"}


def with_control(path: Path, act: Callable[[], T]) -> T:
    """Do something in a thread while the socket is served."""

    async def scene() -> T:
        async with control_socket(path, suffer):
            return await asyncio.to_thread(act)

    return asyncio.run(scene())


def test_a_request_is_answered_or_refused(run: Path) -> None:
    def act() -> None:
        with ControlClient(run / "c") as client:
            assert client.request("greet", name="Ada") == {"id": 1, "greeting": "hello Ada"}
            with pytest.raises(SimulatorError, match=r"refuses sulk: I only greet"):
                client.request("sulk")
            assert client.request("greet", name="Bo")["greeting"] == "hello Bo"
        assert (run / "c").stat().st_mode & 0o777 == 0o600

    with_control(run / "c", act)
    assert not (run / "c").exists()


def test_nobody_there(run: Path) -> None:
    with pytest.raises(ControlUnreachableError, match="nobody answers"):
        ControlClient(run / "c")


def test_nobody_any_more(run: Path) -> None:
    def act() -> ControlClient:
        client = ControlClient(run / "c")
        assert client.request("greet", name="Ada")
        return client

    with with_control(run / "c", act) as client, pytest.raises(ControlUnreachableError):
        client.request("greet", name="Ada")


def test_a_second_one_at_the_same_place_is_refused(run: Path) -> None:
    def act() -> None:
        with pytest.raises(SimulatorError, match=r"a modem serves .* already"):
            with_control(run / "c", lambda: None)
        with ControlClient(run / "c") as client:
            assert client.request("greet", name="Ada")

    with_control(run / "c", act)


def test_one_left_by_a_killed_process_makes_room(run: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(run / "c"))
    with_control(run / "c", lambda: None)


def test_whoever_says_too_much_is_not_talked_to(run: Path) -> None:
    def act() -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(run / "c"))
            raw.settimeout(10)
            raw.sendall(b"\xff\x00\xfe\n")
            assert b'"error"' in raw.recv(4_096)
            raw.sendall(b"x" * 40_000)
            assert raw.recv(4_096) == b""

    with_control(run / "c", act)


def test_clients_have_a_number(run: Path) -> None:
    def act() -> None:
        clients = [ControlClient(run / "c") for _ in range(MAX_CLIENTS)]
        assert all(client.request("greet", name="Ada") for client in clients)
        with ControlClient(run / "c") as another, pytest.raises(ControlUnreachableError):
            another.request("greet", name="Bo")
        for client in clients:
            client.__exit__()

    with_control(run / "c", act)


def test_no_path_no_socket() -> None:
    async def scene() -> None:
        async with control_socket(None, suffer):
            pass

    asyncio.run(scene())
