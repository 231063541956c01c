"""What the tests of the store share: a directory that another user may look into."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def run() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bms-") as directory:
        yield Path(directory)
        Path(directory).chmod(0o700)
