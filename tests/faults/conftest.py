"""What the tests of the faults share: a directory in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.powercut import memory_directory


@pytest.fixture
def memory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory
