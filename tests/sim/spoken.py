"""What a simulated receiver says, for the tests of each maker's."""

from pyubx2 import GET, UBXReader

from bondmate_sim.programme import Programme
from bondmate_sim.receiver import Reaction, Receiver


def programme(receiver: Receiver) -> Programme:
    """What it says while it is awake."""
    assert receiver.programme is not None
    return receiver.programme


def ubx_verdict(reaction: Reaction) -> str:
    """ACK-ACK or ACK-NAK."""
    answer = UBXReader.parse(reaction.octets, msgmode=GET)
    assert answer.clsID == 0x06
    return str(answer.identity)
