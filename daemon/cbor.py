"""CBOR from outside: one item, whole, or an error of ours. What it means is its reader's business."""

import io
from typing import Any

import cbor2

from bondmate.errors import RemoteError


def decode(data: bytes) -> Any:
    """The one item that `data` holds; RemoteError for anything else, octets behind its end included."""
    stream = io.BytesIO(data)
    try:
        decoded = cbor2.CBORDecoder(stream).decode()
    # some tags (4 and 5, say) make cbor2 raise what is no CBORError
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise RemoteError(f"not CBOR: {error}") from error
    if stream.read(1):
        raise RemoteError("octets behind the end of a CBOR item")
    return decoded
