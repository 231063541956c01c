from tests.api.conftest import run

__all__ = ["run"]
