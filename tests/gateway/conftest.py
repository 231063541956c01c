"""A gateway process with its devices, for the tests that need the wire; a database for those that do not."""

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bondmate_sim.gateway import cli
from bondmate_sim.gateway.database import Database
from tests.gateway.twin import Twin

COMMAND = str(Path(sys.executable).with_name("bondmate-gateway"))


def command(*arguments: str | Path) -> Any:
    """Run a command of the gateway in this process and return its JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.main([*map(str, arguments), "--json"]) == 0
    return json.loads(out.getvalue())


class Gateway:
    """`bondmate-gateway run` as a process, and the commands beside it."""

    def __init__(self, place: Path, *options: str) -> None:
        self._options = options
        self.data = place / "data"
        self._place = place
        self._enrolled = 0
        self.port = 0
        self.bundles_url = ""
        self.process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def log(self) -> str:
        return (self._place / "log").read_text()

    def start(self) -> None:
        """Start, at the same port as the last time, and wait for the line that says it listens."""
        with (self._place / "log").open("a") as log:
            self.process = subprocess.Popen(
                [COMMAND, "run", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *self._options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on coap://127.0.0.1:"), (line, self.log)
        self.port = int(line.rsplit(":", 1)[1])
        if "--bundles" in self._options:
            line = self.process.stdout.readline()
            assert line.startswith("bundles at http://127.0.0.1:"), (line, self.log)
            self.bundles_url = line.removeprefix("bundles at ").strip()
            at = self._options.index("--bundles") + 1
            self._options = (*self._options[:at], self.bundles_url.removeprefix("http://"), *self._options[at + 1 :])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def enrol(self) -> Path:
        """Enrol one device and return its enrolment file."""
        self._enrolled += 1
        (name,) = command("enrol", "--count", "1", "--data", self.data, "--out", self._place / f"out{self._enrolled}")
        return Path(name)

    def twin(self, file: Path | None = None, **options: Any) -> Twin:
        """Return a session of a device, of a new one if none is given."""
        return Twin(file or self.enrol(), self.address, **options)

    def alerts(self, device: str) -> list[dict[str, Any]]:
        return [each for each in command("alerts", "--data", self.data) if each["device"] == device]

    def device(self, device: str) -> dict[str, Any]:
        (found,) = (each for each in command("devices", "--data", self.data) if each["device"] == device)
        return dict(found)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Yield a running gateway that all tests share; each test enrols a device of its own."""
    made = Gateway(tmp_path_factory.mktemp("gateway"))
    made.start()
    yield made
    assert made.end() == 0


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Yield a running gateway that the test may kill."""
    made = Gateway(tmp_path)
    made.start()
    yield made
    if made.process is not None:
        made.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def one_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with contextlib.closing(Database(Path(tmp_path_factory.mktemp("one")), create=True)) as made:
        # A device of its own for each example: what a power cut would take away is not the question here.
        made.rows("PRAGMA synchronous = OFF")
        yield made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Yield an empty database."""
    with contextlib.closing(Database(tmp_path / "data", create=True)) as made:
        yield made
