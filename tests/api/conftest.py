from tests.sim.conftest import run

__all__ = ["run"]
