"""One item or a RemoteError, whatever the octets are."""

import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.cbor import decode
from bondmate.errors import RemoteError


def test_one_item_is_read() -> None:
    assert decode(bytes.fromhex("83010243aabbcc")) == [1, 2, b"\xaa\xbb\xcc"]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x82\x01", b"\x01\x01", b"\xc4\x82\x01\x61x", b"\x81" * 100_000],
    ids=["empty", "cut short", "two items", "a decimal of text", "nested too deep"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteError):
        decode(data)


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(RemoteError):
        decoded = decode(data)
        assert type(decoded) is type(cbor2.loads(data))
