from pathlib import Path

import pytest

from tests.image.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    top = tmp_path / "desk"
    top.mkdir()
    return Desk(top, monkeypatch)
