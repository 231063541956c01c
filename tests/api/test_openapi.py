"""docs/api.yaml is what the server does: schemathesis asks it everything that the page allows, and what it does not."""

import asyncio
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from bondmate.api import door
from bondmate.api.authority import CONSOLE_MAY
from bondmate.api.idempotency import KEY
from bondmate.officer_pin import has_form
from tests.api.served import Served, served, set_pin
from tests.conftest import TOP

DOCUMENT = TOP / "docs" / "api.yaml"
EXAMPLES = 20
TRUE_PIN, DURESS_PIN = "271828", "314159"


def octets(most: int) -> st.SearchStrategy[str]:
    """What the format says that a number of characters cannot say."""
    return st.text(min_size=1, max_size=most).filter(lambda text: len(text.encode()) <= most)


schemathesis.openapi.format("text-120-octets", octets(120))
schemathesis.openapi.format("text-160-octets", octets(160))
schema = schemathesis.openapi.from_path(DOCUMENT)
schema.config.update(base_url="http://localhost")


class UnixConnection(HTTPConnection):
    """urllib3's connection, to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


class UnixAdapter(HTTPAdapter):
    """Sends all that requests sends to one Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._pool = HTTPConnectionPool("localhost")
        self._pool.ConnectionCls = lambda *_, **__: UnixConnection(path)  # type: ignore[assignment]

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()


@pytest.fixture(scope="module")
def device() -> Iterator[Served]:
    """A device on a loop of its own, with a few messages and a PIN."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ending, made = asyncio.Event(), list[Served]()

    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="bms-") as directory:
            set_pin(Path(directory), TRUE_PIN, DURESS_PIN)
            async with served(Path(directory)) as there:
                await there.post(5)
                made.append(there)
                ready.set()
                await ending.wait()

    with mock.patch.multiple(door, REQUEST_EVERY_S=1e-6, ENTRANCE_EVERY_S=1e-6):
        thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
        thread.start()
        assert ready.wait(10)
        yield made[0]
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.close()
    assert not thread.is_alive()


@pytest.fixture(params=["api.sock", "console.sock"])
def session(request: pytest.FixtureRequest, device: Served) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.mount("http://", UnixAdapter(device.socket.with_name(request.param)))
        yield made


def make_it_count(case: Any) -> None:
    """A key that is one gets to be a fresh one, and what could be a PIN is the PIN: else most would only be refused."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and KEY.fullmatch(key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if isinstance(case.body, dict) and has_form(case.body.get("pin")):
        case.body["pin"] = DURESS_PIN if len(case.body["pin"]) % 2 else TRUE_PIN


@schema.exclude(path="/events").parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_what_is_asked_is_answered_as_the_page_says(case: Any, session: requests.Session) -> None:
    make_it_count(case)
    case.call_and_validate(session=session)


def test_the_page_has_every_path_of_the_table_and_no_other() -> None:
    paths = schema.raw_schema["paths"]
    documented = {
        (method.upper(), path) for path, item in paths.items() for method in item if method in ("get", "post", "put")
    }
    assert documented == CONSOLE_MAY.keys()


def contents(node: Any) -> Iterator[dict[str, Any]]:
    """Every content of a request or an answer: a schema, and examples of it."""
    if isinstance(node, dict):
        if "schema" in node and "examples" in node:
            yield node
        for each in node.values():
            yield from contents(each)


def test_every_content_has_examples_and_they_are_what_its_schema_says() -> None:
    document = schema.raw_schema
    seen = list(contents(document))
    assert len(seen) > 30
    for content in seen:
        validator = jsonschema_rs.validator_for({"components": document["components"], **content["schema"]})
        for example in content["examples"].values():
            if "$ref" in example:
                example = document["components"]["examples"][example["$ref"].rpartition("/")[2]]  # noqa: PLW2901
            assert validator.is_valid(example["value"]), list(validator.iter_errors(example["value"]))
