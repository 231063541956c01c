"""The enrolment file, which is put on a device's card: made and signed (docs/protocol.md, section 9).

It holds secrets: whoever makes one hands it on and writes it nowhere. What it says of the network, `network` reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import cose, keys
from bondmate_sim.gateway.enrolments import Offer
from bondmate_sim.gateway.network import Network

MAX_ADDRESSES = 8

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Gateway:
    """What a file says of the gateway, and who signs it: addresses, public keys, and the force's private key."""

    addresses: Sequence[str]
    signing: ec.EllipticCurvePublicKey
    dh: ec.EllipticCurvePublicKey
    force: ec.EllipticCurvePrivateKey = field(repr=False)


def file(offer: Offer, gateway: Gateway, issued_s: int, network: Network | None) -> bytes:
    """Return the enrolment file of one device, signed by the force's key; `issued_s` is UTC in seconds since 1970."""
    payload = [
        _VERSION,
        offer.device,
        offer.kid,
        offer.secret,
        [
            keys.GATEWAY_ID,
            list(gateway.addresses),
            [[keys.KEY_ID, keys.public_der(gateway.signing)]],
            list(keys.coordinates(gateway.dh)),
        ],
        issued_s,
        None if network is None else network.encoded(),
    ]
    encoded = cbor2.dumps(payload, canonical=True)
    return cose.sign(encoded, cose.external_aad("bondmate enrolment 1"), gateway.force)
