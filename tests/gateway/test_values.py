"""Single words of the command line: URLs and versions that devices can be told."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate_sim.gateway import bundles, values


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("https://gateway.example", "https://gateway.example"),
        ("http://192.0.2.7:8080/bundles/", "http://192.0.2.7:8080/bundles"),
        ("http://[2001:db8::7]:8080", "http://[2001:db8::7]:8080"),
    ],
)
def test_where_bundles_are(said: str, read: str) -> None:
    assert values.base_url(said) == read


@pytest.mark.parametrize(
    "said",
    [
        *("", "gateway.example", "ftp://gateway.example", "https://", "http://[::1", "http://a:b", "http://a:99999"),
        *(
            "http://name@gateway.example",
            "http://a/?q",
            "http://a/#f",
            "http://a/ b",
            "http://ä",
            "http://a/" + "b" * 112,
        ),
    ],
)
def test_what_is_no_place_of_bundles(said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        values.base_url(said)


@given(st.text(max_size=125))
def test_a_url_of_any_bundle_fits_a_message(rest: str) -> None:
    try:
        base = values.base_url("http://a" + rest)
    except argparse.ArgumentTypeError:
        return
    assert len(f"{base}/{'v' * 64}{bundles.SUFFIX}".encode()) <= 200


def test_numbers_have_bounds() -> None:
    assert (values.tolerated("0"), values.tolerated("100"), values.percent("1")) == (0, 100, 1)
    for read, said in ((values.tolerated, "101"), (values.percent, "0"), (values.batch, "1001"), (values.rollout, "0")):
        with pytest.raises(argparse.ArgumentTypeError, match=f"{said!r} is not a number from"):
            read(said)
