"""Updates over the wire: commands, the running gateway, devices that are told, and a client that fetches."""

import contextlib
import hashlib
import http.client
import secrets
import shutil
import signal
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import COMMAND, Gateway, command
from tests.gateway.twin import WAIT_S, Twin

MESSAGE_STATE, UPDATE = 20, 8
OCTETS = 20_000_000


@pytest.fixture
def updating(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path, "--bundles", "127.0.0.1:0")
    made.start()
    yield made
    if made.process is not None:
        made.end(signal.SIGKILL)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    made = tmp_path / "update.raucb"
    made.write_bytes(secrets.token_bytes(OCTETS))
    return made


def told(device: Twin) -> list[Any]:
    """Wait for a wake-up, and return the update that it was about."""
    assert device.take_push().opt.uri_path == ("w",)
    (message,) = device.fetch(0)
    assert message[2] == UPDATE
    return list(message[7])


def sha256(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def test_devices_are_told_one_after_the_other_and_a_failure_stops_it(updating: Gateway, bundle: Path) -> None:
    data = "--data", updating.data
    with contextlib.ExitStack() as stack:
        twins = {each.name: each for each in (stack.enter_context(updating.twin()) for _ in range(3))}
        for each in twins.values():
            each.submit(each.record())
        added = command("bundle", "add", bundle, "--version", "1.3.0", *data)
        begun = command("rollout", "start", "1.3.0", "--batch", "1", "--tolerate", "0", "--by", "Ann", *data)
        first, second, third = (twins[each["device"]] for each in begun["devices"])
        software, url, octets, sha, when = told(first)
        assert (software, octets, sha.hex(), when) == ("1.3.0", OCTETS, added["sha256"], 0)
        assert url == f"{updating.bundles_url}/1.3.0.raucb"
        said = first.record(MESSAGE_STATE, body=[[1, 1], [1, 5, "bondmate 1.3.0"]])
        updating.end(signal.SIGKILL)
        updating.start()
        first.submit(said)
        second.submit(second.record(sequence=2, previous=bytes(4)))
        assert told(second)[0] == "1.3.0"
        (shown,) = command("rollout", "status", *data)
        assert [each["state"] for each in shown["devices"]] == ["done", "sent", "waiting"]
        second.submit(second.record(MESSAGE_STATE, body=[[1, 6, "no space"]]))
        while (shown := command("rollout", "status", *data)[0])["state"] == "running":
            # Each question is a command of its own, and the gateway looks once a second.
            pass
        assert (shown["state"], shown["why"].startswith("1 of 2 devices")) == ("stopped", True)
        assert third.fetch(0) == []
        assert "STOPPED rollout 1 of 1.3.0" in updating.log
        command("rollout", "resume", *data)
        third.submit(third.record(sequence=2, previous=bytes(4)))
        assert told(third)[0] == "1.3.0"
        assert "Traceback" not in updating.log


def test_curl_goes_on_where_a_transfer_broke_off(updating: Gateway, bundle: Path, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    command("bundle", "add", bundle, "--version", "1.3.0", "--data", updating.data)
    url, part = f"{updating.bundles_url}/1.3.0.raucb", tmp_path / "part"

    def run(*options: str) -> str:
        asked = [curl, "--silent", "--show-error", "--fail", "--output", str(part), *options, url]
        return subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True).stdout

    part.write_bytes(bundle.read_bytes()[:7_000_001])
    assert run("--continue-at", "-", "--write-out", "%{http_code} %{size_download}") == f"206 {OCTETS - 7_000_001}"
    assert sha256(part) == sha256(bundle)
    assert run("--range", "5-9", "--write-out", "%{http_code}") == "206"
    assert part.read_bytes() == bundle.read_bytes()[5:10]
    assert run("--head", "--write-out", "%{http_code}").endswith("200")


def test_a_transfer_goes_on_after_the_gateway_was_killed_in_the_middle_of_it(updating: Gateway, bundle: Path) -> None:
    command("bundle", "add", bundle, "--version", "1.3.0", "--data", updating.data)
    got, etag = b"", ""
    while len(got) < OCTETS:
        place = urllib.parse.urlsplit(updating.bundles_url).netloc
        with contextlib.closing(http.client.HTTPConnection(place, timeout=WAIT_S)) as client:
            client.request("GET", "/1.3.0.raucb", headers={"Range": f"bytes={len(got)}-", "If-Range": etag or '""'})
            response = client.getresponse()
            assert response.status == (206 if etag else 200)
            etag = response.headers["ETag"]
            assert int(response.headers["Content-Length"]) == OCTETS - len(got)
            got += response.read(1_000_000)
            if len(got) < 3_000_000:
                updating.end(signal.SIGKILL)
                updating.start()
            else:
                with contextlib.suppress(http.client.IncompleteRead):
                    got += response.read()
    assert hashlib.sha256(got).digest() == sha256(bundle)


def test_alerts_are_answered_while_bundles_are_fetched(updating: Gateway, bundle: Path) -> None:
    command("bundle", "add", bundle, "--version", "1.3.0", "--data", updating.data)
    place = urllib.parse.urlsplit(updating.bundles_url).netloc
    with contextlib.ExitStack() as stack:
        for _ in range(70):
            client = stack.enter_context(contextlib.closing(http.client.HTTPConnection(place, timeout=WAIT_S)))
            with contextlib.suppress(OSError):
                client.request("GET", "/1.3.0.raucb")
        with updating.twin() as device:
            assert device.submit(device.record())[4] == 0


def test_it_ends_though_somebody_is_in_the_middle_of_a_transfer(updating: Gateway, bundle: Path) -> None:
    command("bundle", "add", bundle, "--version", "1.3.0", "--data", updating.data)
    place = urllib.parse.urlsplit(updating.bundles_url).netloc
    with contextlib.ExitStack() as stack:
        idle, reading = (
            stack.enter_context(contextlib.closing(http.client.HTTPConnection(place, timeout=WAIT_S))) for _ in range(2)
        )
        idle.request("HEAD", "/1.3.0.raucb")
        idle.getresponse().read()
        reading.request("GET", "/1.3.0.raucb")
        assert reading.getresponse().read(1)
        assert updating.end() == 0
    assert updating.log.splitlines()[-1].endswith("INFO stopped")


def test_the_place_that_devices_are_told_can_be_another(tmp_path: Path, bundle: Path) -> None:
    made = Gateway(tmp_path, "--bundles-url", "https://gateway.example/bundles/")
    made.start()
    try:
        with made.twin() as device:
            device.submit(device.record())
            command("bundle", "add", bundle, "--version", "1.3.0", "--data", made.data)
            command("rollout", "start", "1.3.0", "--at-once", "--data", made.data)
            assert told(device)[1::3] == ["https://gateway.example/bundles/1.3.0.raucb", 1]
    finally:
        made.end(signal.SIGKILL)


def test_a_port_that_is_taken_is_an_error(updating: Gateway, tmp_path: Path) -> None:
    taken = urllib.parse.urlsplit(updating.bundles_url).netloc
    options = "--data", str(tmp_path / "other"), "--listen", "127.0.0.1:0", "--bundles", taken
    second = subprocess.run([COMMAND, "run", *options], capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert f"cannot serve bundles on {taken}" in second.stderr
