"""The process: how it starts, what it refuses to share, how it ends."""

import asyncio
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from bondmate_sim.gateway.run import kept_going
from tests.gateway.conftest import COMMAND, Gateway
from tests.virtual import run as run_virtually


def run(data: Path, listen: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "run", "--data", data, "--listen", listen], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(own_gateway: Gateway, number: signal.Signals) -> None:
    assert own_gateway.end(number) == 0
    assert own_gateway.log.splitlines()[-1].endswith("INFO stopped")


def test_what_it_keeps_is_private(own_gateway: Gateway) -> None:
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in own_gateway.data.iterdir()}
    assert stat.S_IMODE(own_gateway.data.stat().st_mode) == 0o700
    assert {"gateway.db", "signing-key.pem"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_two_gateways_do_not_share_a_data_directory(own_gateway: Gateway) -> None:
    second = run(own_gateway.data, "127.0.0.1:0")
    assert (second.returncode, second.stdout) == (1, "")
    assert "another gateway runs on" in second.stderr


def test_two_gateways_do_not_share_a_port(own_gateway: Gateway, tmp_path: Path) -> None:
    second = run(tmp_path / "other", f"127.0.0.1:{own_gateway.port}")
    assert (second.returncode, second.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1:{own_gateway.port}" in second.stderr


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    refused = run(tmp_path / "data", "192.0.2.7:5683")
    assert refused.returncode == 1
    assert "give another --listen" in refused.stderr


def test_it_listens_on_ipv6_too(tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    process = subprocess.Popen(
        [COMMAND, "run", "--data", tmp_path / "data", "--listen", "[::1]:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on coap://[::1]:")
    finally:
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout is not None
        process.stdout.close()


def test_devices_enrolled_and_revoked_while_it_runs_are_seen(own_gateway: Gateway) -> None:
    with own_gateway.twin() as device:
        record = device.record()
        assert device.submit(record)[4] == 0
        process = subprocess.run(
            [COMMAND, "revoke", device.name, "--data", own_gateway.data], capture_output=True, text=True, check=True
        )
        assert process.stdout.startswith(f"{device.name}  REVOKED")
        assert device.submit(record)[4] == 2


def test_a_part_that_fails_or_ends_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[float] = []

    async def part() -> None:
        begun.append(asyncio.get_running_loop().time())
        if len(begun) == 1:
            raise RuntimeError("a bug")
        if len(begun) == 2:
            # As where a library cancels what it waits for itself.
            raise asyncio.CancelledError
        if len(begun) > 3:
            await asyncio.Event().wait()

    async def story() -> None:
        task = asyncio.create_task(kept_going("the part", part))
        await asyncio.sleep(100)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run_virtually(story())
    assert [at - begun[0] for at in begun] == [0, 10, 20, 30]
    assert [each.startswith(("the part failed, ", "the part ended, ")) for each in caplog.messages] == [True] * 3
    assert "a bug" in caplog.text
