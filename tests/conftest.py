"""What all tests share: the --long option, the table of the faults, and the way to the corpus."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults import report

TOP = Path(__file__).parent.parent

# a busy machine makes a test slow, not wrong; what hangs is for pytest-timeout
settings.register_profile("bondmate", deadline=None)
settings.load_profile("bondmate")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long too")
    parser.addoption("--image", action="store_true", help="build the image, and run the tests that boot it")


def pytest_configure(config: pytest.Config) -> None:
    # here, for the head of pytest-xdist's workers loads no conftest.py further down
    config.pluginmanager.register(report)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: runs with --long"))


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A test that starts the daemon's log leaves nothing of it to the next one."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("coap", "coap-server"):
        logging.getLogger(name).setLevel(logging.NOTSET)


COUNTED_PROCESSES = "test_press"
"""The end-to-end module whose daemons show what the unit tests cannot: how app puts the parts together."""


@pytest.fixture(autouse=True)
def _uncounted_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the processes that tests start do not measure coverage: it doubles what each start costs."""
    if request.path.stem != COUNTED_PROCESSES:
        for variable in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of data that others made, which is not part of the repository: `BONDMATE_CORPUS`, or beside us."""
    named = os.environ.get("BONDMATE_CORPUS")
    folder = Path(named) if named else TOP.parent / "shared" / "corpus"
    if not folder.is_dir():
        pytest.skip(f"no corpus: BONDMATE_CORPUS is {named or 'not set'}, and {folder} is no folder")
    return folder
