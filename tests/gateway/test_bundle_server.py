"""Bundles over HTTP: ranges as RFC 9110 has them, nothing but what is registered, and only so many at a time."""

import asyncio
import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bondmate_sim.gateway import bundle_server, bundles
from bondmate_sim.gateway.bundle_server import understood
from bondmate_sim.gateway.database import Database
from tests.virtual import run as run_virtually

CONTENT = bytes(range(251)) * 40
LENGTH = len(CONTENT)
NAME = "/1.3.0+git.raucb"
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Served:
    """The server on a loop of its own, and its clients."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        with contextlib.closing(Database(self.place / "data", create=True)) as database:
            async with bundle_server.serving(database, self.place / "data", self.listener):
                self._ready.set()
                await self._end.wait()

    def __enter__(self) -> "Served":
        (self.place / "made").write_bytes(CONTENT)
        self.add("1.3.0+git")
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self.listener.close()

    def add(self, version: str) -> None:
        with contextlib.closing(Database(self.place / "data", create=True)) as database:
            bundles.add(database, self.place / "data", self.place / "made", version, 0)

    def ask(self, path: str = NAME, method: str = "GET", **headers: str) -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)) as client:
            client.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = client.getresponse()
            return Answer(response.status, response.headers, response.read())


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """Let no busy machine be taken for a client that keeps silent."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("FIRST_REQUEST_S", "_KEEP_ALIVE_S"):
            patched.setattr(bundle_server, name, 3600.0)
        yield


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as made:
        yield made


def test_the_whole_says_how_to_ask_for_parts_of_it(served: Served) -> None:
    whole = served.ask()
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Length"] == str(LENGTH)
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert re.fullmatch(r'"[^"]+"', whole.headers["ETag"]), "a strong one"
    head = served.ask(method="HEAD", Range="bytes=5-9")
    assert (head.status, head.body) == (200, b""), "a range is for GET alone"
    for name in ("Accept-Ranges", "Content-Length", "ETag"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        (f"bytes={LENGTH - 1}-", LENGTH - 1, LENGTH - 1),
        ("bytes=100-", 100, LENGTH - 1),
        ("bytes=0-", 0, LENGTH - 1),
        (f"bytes=9-{10**30}", 9, LENGTH - 1),
        ("bytes=-7", LENGTH - 7, LENGTH - 1),
        (f"bytes=-{10**30}", 0, LENGTH - 1),
        ("Bytes=0005-0009", 5, 9),
    ],
)
def test_one_range_is_served(served: Served, asked: str, first: int, last: int) -> None:
    part = served.ask(Range=asked)
    assert (part.status, part.body) == (206, CONTENT[first : last + 1])
    assert part.headers["Content-Range"] == f"bytes {first}-{last}/{LENGTH}"


@pytest.mark.parametrize("asked", [f"bytes={LENGTH}-", f"bytes={10**30}-", f"bytes={LENGTH}-{LENGTH + 5}"])
def test_a_range_behind_the_end_is_not_satisfiable(served: Served, asked: str) -> None:
    answer = served.ask(Range=asked)
    assert (answer.status, answer.body) == (416, b"416: Range Not Satisfiable" if answer.body else b"")
    assert answer.headers["Content-Range"] == f"bytes */{LENGTH}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,5-6", "items=0-5", "bytes=9-5", "bytes=-0", "bytes=", "bytes=-", "bytes=a-b", "0-5", "bytes=0x1-"],
)
def test_what_is_no_single_range_gets_the_whole(served: Served, asked: str) -> None:
    whole = served.ask(Range=asked)
    assert (whole.status, whole.body) == (200, CONTENT)


def test_a_transfer_goes_on_only_with_the_same_bundle(served: Served) -> None:
    etag = served.ask().headers["ETag"]
    assert served.ask(Range="bytes=100-", If_Range=etag).status == 206
    for other in ('"another"', f"W/{etag}", "Fri, 27 Nov 2026 08:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"):
        whole = served.ask(Range="bytes=100-", If_Range=other)
        assert (whole.status, whole.body) == (200, CONTENT), other
    assert served.ask(If_None_Match=etag).status == 304
    assert served.ask(If_Match='"another"').status == 412


@given(
    st.text(alphabet="bytes=0123456789-, ", max_size=40)
    | st.builds(
        "{}={}-{}".format,
        st.sampled_from(["bytes", "BYTES", "byte", ""]),
        st.integers(0, LENGTH + 3) | st.just(""),
        st.integers(0, LENGTH + 3) | st.just(""),
    )
    | st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
)
@settings(deadline=None, max_examples=200)
def test_whatever_is_asked_for_what_comes_is_what_it_says(served: Served, asked: str) -> None:
    answer = served.ask(Range=asked)
    single = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.strip(" "), re.IGNORECASE | re.ASCII)
    match answer.status:
        case 200:
            assert answer.body == CONTENT
            assert not (single and int(single[1]) < LENGTH and int(single[2] or LENGTH) >= int(single[1]))
        case 206:
            said = re.fullmatch(rf"bytes (\d+)-(\d+)/{LENGTH}", answer.headers["Content-Range"])
            assert said is not None
            first, last = int(said[1]), int(said[2])
            assert answer.body == CONTENT[first : last + 1]
            assert 0 <= first <= last < LENGTH
            if single:
                assert (first, last) == (int(single[1]), min(int(single[2] or LENGTH), LENGTH - 1))
        case 416:
            assert answer.headers["Content-Range"] == f"bytes */{LENGTH}"
            assert single is not None
            assert int(single[1]) >= LENGTH
        case other:
            raise AssertionError(other)


@given(st.text(max_size=30), st.sampled_from(["GET", "HEAD", "POST"]), st.lists(st.text(max_size=9), max_size=2))
def test_what_is_understood_is_one_plain_range(asked: str, method: str, conditions: list[str]) -> None:
    found = understood(method, [asked], conditions, '"etag"')
    if found is not None:
        assert re.fullmatch(r"bytes=(\d+-\d*|-[1-9]\d*)", found, re.ASCII)
        assert method == "GET"
        assert set(conditions) <= {'"etag"'}
    assert understood("GET", ["bytes=0-1", asked], [], "") is None


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/1.3.0+git", "/1.4.0.raucb", "/bundles/1.3.0+git.raucb", "/../gateway.db", "/%2e%2e%2fgateway.db"),
        *("/..%2fgateway.db.raucb", "/.raucb", "/%00.raucb", "/1.3.0+git.raucb/", "/signing-key.pem"),
    ],
)
def test_nothing_is_served_that_is_not_registered(served: Served, path: str) -> None:
    (served.place / "data" / "bundles" / "1.4.0.raucb").write_bytes(b"an orphan")
    answer = served.ask(path)
    assert answer.status == 404
    assert b"1.3.0" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(served: Served, method: str) -> None:
    assert served.ask(method=method).status == 405
    assert served.ask().body == CONTENT


def test_a_bundle_that_is_removed_is_served_no_more(served: Served) -> None:
    served.add("0.1")
    assert served.ask("/0.1.raucb").status == 200
    with contextlib.closing(Database(served.place / "data", create=False)) as database, database.transaction():
        bundles.forget(database, "0.1")
    assert served.ask("/0.1.raucb").status == 404


def test_a_file_that_is_gone_is_a_fault_here(served: Served) -> None:
    served.add("0.2")
    (served.place / "data" / "bundles" / "0.2.raucb").unlink()
    assert served.ask("/0.2.raucb").status == 503


def test_only_so_many_connections_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_server, "MAX_CONNECTIONS", 3)
    with Served(tmp_path) as served, contextlib.ExitStack() as stack:
        held = [stack.enter_context(contextlib.closing(connection(served))) for _ in range(3)]
        for each in held:
            assert ask_on(each) == 200
        with contextlib.closing(connection(served)) as another, pytest.raises(ConnectionError):
            ask_on(another)
        held[0].close()
        until_served(served)


def test_who_connects_and_asks_nothing_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_server, "FIRST_REQUEST_S", 0.05)
    with (
        Served(tmp_path) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=WAIT_S) as silent,
        contextlib.suppress(ConnectionResetError),
    ):
        assert silent.recv(1) == b""


class Connection:
    """As much of a connection as the door looks at."""

    def __init__(self) -> None:
        self.transport: Connection | None = self
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_who_asked_for_something_may_stay() -> None:
    async def story() -> None:
        door = bundle_server._Door()
        server: Any = type("Server", (), {"connections": [], "__call__": lambda _: Connection()})()
        door.server = server
        silent, asking, gone = door(), door(), door()
        assert isinstance(silent, Connection)
        assert isinstance(asking, Connection)
        assert isinstance(gone, Connection)
        gone.transport = None
        door.asked(asking)
        door.asked(asking)
        await asyncio.sleep(bundle_server.FIRST_REQUEST_S + 1)
        assert [each.aborted for each in (silent, asking, gone)] == [True, False, False]
        assert door._silent == {}

    run_virtually(story())


def test_an_answer_that_takes_too_long_is_broken_off_and_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Served(tmp_path) as served:
        with monkeypatch.context() as patched:
            patched.setattr(bundle_server, "LONGEST_S", 0)
            with pytest.raises((OSError, http.client.HTTPException)):
                served.ask()
        assert served.ask(Range="bytes=100-").body == CONTENT[100:]


def connection(served: Served) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", served.port, timeout=WAIT_S)


def ask_on(client: http.client.HTTPConnection) -> int:
    client.request("HEAD", NAME)
    response = client.getresponse()
    response.read()
    return response.status


def until_served(served: Served) -> None:
    """Wait until the server has seen that a connection went away."""
    while True:
        with contextlib.closing(connection(served)) as client, contextlib.suppress(OSError, http.client.HTTPException):
            if ask_on(client) == 200:
                return
