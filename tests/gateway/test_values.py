"""Single words of the command line: addresses, URLs and versions that devices can be told."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate import credentials
from bondmate_sim.gateway import bundles, values


def devices_take(address: str) -> bool:
    try:
        return bool(credentials.address(address))
    except ValueError:
        return False


@pytest.mark.parametrize("said", ["coap://gw-1.example:5683", "coap://192.0.2.7:1", "coap://[2001:db8::7]:65535"])
def test_an_address_that_devices_find(said: str) -> None:
    assert values.address(said) == said
    assert devices_take(said)


@pytest.mark.parametrize(
    "said",
    ["coap://2001:db8::1:5683", "coap://:5683", "coap://gw:0", "coap://gw:65536", "coap://gw/x:5683", "gw:5683"],
)
def test_an_address_that_no_device_takes_is_refused(said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not coap://HOST:PORT, with a HOST of letters"):
        values.address(said)
    assert not devices_take(said)


@given(st.text("coap:/gw.0[]").map("coap://".__add__), st.integers(-1, 70000))
def test_devices_take_what_the_gateway_writes_into_their_files(place: str, port: int) -> None:
    said = f"{place}:{port}"
    try:
        values.address(said)
    except argparse.ArgumentTypeError:
        return
    assert devices_take(said)


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


def test_the_gateways_own_number_is_one_that_devices_send_to() -> None:
    assert values.number("+4915550001") == "+4915550001"
    for said in ("+491", "+04915550001", "72772"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a number with its country code"):
            values.number(said)


def test_numbers_have_bounds() -> None:
    assert (values.tolerated("0"), values.tolerated("100"), values.percent("1")) == (0, 100, 1)
    for read, said in ((values.tolerated, "101"), (values.percent, "0"), (values.batch, "1001"), (values.rollout, "0")):
        with pytest.raises(argparse.ArgumentTypeError, match=f"{said!r} is not a number from"):
            read(said)
