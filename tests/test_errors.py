"""Errors by whose fault they are."""

import inspect

import pytest

from bondmate import errors
from bondmate.errors import BondMateError, ConfigurationError, LinkError, LocalError, RemoteError, UnauthorizedError


def test_every_error_has_the_one_root() -> None:
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    named = [each for each in classes if issubclass(each, Exception)]
    assert len(named) > 5
    assert all(issubclass(each, BondMateError) for each in named)


def test_whose_fault_it_is_can_be_told_apart() -> None:
    families = (LocalError, RemoteError, LinkError)
    for error in (ConfigurationError, errors.StoreError, RemoteError, UnauthorizedError):
        assert sum(issubclass(error, family) for family in families) == 1
    assert issubclass(UnauthorizedError, LinkError), "weather: whoever is on the way can send a plain 4.01"


def test_a_configuration_error_keeps_its_lines_apart_and_says_them_all() -> None:
    with pytest.raises(LocalError, match="one\ntwo") as caught:
        raise ConfigurationError(["one", "two"])
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.problems == ["one", "two"]
