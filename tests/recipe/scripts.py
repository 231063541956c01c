"""The recipe's programs in Python, which lie outside all packages, as they do on a device."""

import importlib.util
from typing import Any

from tests.recipe.machine import RECIPE


def load(name: str) -> Any:
    """One of usr/libexec/bondmate, as a module."""
    spec = importlib.util.spec_from_file_location(name, RECIPE / f"root/usr/libexec/bondmate/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
