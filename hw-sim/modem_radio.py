"""What a modem hears of the network around it: whether it may register, and how strong the cell is. Pure.

One number is given, the RSRP. The others follow from it by a plain law, so that they are believable together and go the
right way; no cell does exactly that.
"""

from dataclasses import dataclass
from typing import Literal

Registration = Literal["home", "roaming", "searching", "denied", "none"]
STATES: dict[Registration, int] = {"none": 0, "home": 1, "searching": 2, "denied": 3, "roaming": 5}
"""`<stat>` of +CREG, +CGREG and +CEREG (3GPP TS 27.007, clauses 7.2, 10.1.20 and 10.1.22)."""
LEAST_DBM, MOST_DBM = -140, -44
"""The range in which LTE reports RSRP (3GPP TS 36.133, clause 9.1.4)."""
UNKNOWN = 99
TRACKING_AREA, CELL, BAND_3_CHANNEL, PHYSICAL_CELL = "1A2B", "01A2B3C4", 1_300, 318


@dataclass(frozen=True, slots=True)
class Operator:
    """A network; `plmn` is MCC and MNC."""

    name: str
    short: str
    plmn: str


HOME, FOREIGN = Operator("Test Network", "TestNet", "00101"), Operator("Other Network", "OtherNet", "00102")


@dataclass(slots=True)
class Radio:
    """What is on the air. `rsrp_dbm` None: nothing at all."""

    registration: Registration = "home"
    rsrp_dbm: int | None = -85

    @property
    def operator(self) -> Operator | None:
        """On whose network it is; None: on none."""
        return {"home": HOME, "roaming": FOREIGN}.get(self.registration)


def rssi_dbm(rsrp_dbm: int) -> int:
    """Over 10 MHz with little load: 600 subcarriers are 27.8 dB."""
    return rsrp_dbm + 28


def sinr_db(rsrp_dbm: int) -> int:
    """20 dB at -95 dBm, 0 dB at -115 dBm; -20 to 30."""
    return max(-20, min(30, rsrp_dbm + 115))


def rsrq_db(rsrp_dbm: int) -> int:
    """-10 dB in a good cell, -18 in a bad one."""
    return -18 + (sinr_db(rsrp_dbm) + 20) * 8 // 50


def csq(rsrp_dbm: int | None) -> int:
    """`<rssi>` of +CSQ: 0 is -113 dBm or less, 31 is -51 or more, 2 dB a step (27.007, clause 8.5)."""
    return UNKNOWN if rsrp_dbm is None else max(0, min(31, (rssi_dbm(rsrp_dbm) + 113) // 2))


def cesq(rsrp_dbm: int | None) -> tuple[int, int]:
    """`<rsrq>` and `<rsrp>` of +CESQ: half dB from -19.5, whole dB from -140 on; 255 unknown (27.007, clause 8.69)."""
    if rsrp_dbm is None:
        return 255, 255
    return max(0, min(34, 2 * rsrq_db(rsrp_dbm) + 40)), max(0, min(97, rsrp_dbm + 141))
