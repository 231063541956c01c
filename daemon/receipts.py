"""Receipts of the gateway: verified before anything is believed (docs/protocol.md, section 4)."""

from dataclasses import dataclass

from bondmate import wire
from bondmate.cose import PublicKey, algorithm_of, protected_header, verify1
from bondmate.errors import RemoteError
from bondmate.records import DeviceId


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that verified: the tagged COSE_Sign1 to keep, and what it says."""

    message: bytes
    entries: tuple[wire.ReceiptEntry, ...]


def verify(data: bytes, device: DeviceId, keys: dict[bytes, PublicKey]) -> Receipt:
    """The receipt in `data`, in either form; RemoteError when no key of `keys` signed it for this device."""
    if len(data) > wire.MAX_RECEIPT_OCTETS:
        raise RemoteError(f"a receipt of {len(data)} octets, where {wire.MAX_RECEIPT_OCTETS} are allowed")
    problem = RemoteError("this device knows no gateway key")
    # the compact form does not carry the algorithm: it is that of the key, and there are two kinds of keys
    for algorithm in sorted({algorithm_of(key) for key in keys.values()}):
        try:
            message = wire.expand(data, protected_header(algorithm))
            payload = verify1(message, wire.receipt_aad(device), keys)
        except RemoteError as error:
            problem = error
        else:
            return Receipt(message, wire.decode_receipt(payload))
    raise problem
