"""What a modem says of its SIM, its network and its signal: lines to values. Pure.

3GPP TS 27.007, and the makers' own lines where theirs say more. A line that is none of these, or makes no sense, is
None.
"""

import re
from dataclasses import dataclass
from enum import Enum


class Registration(Enum):
    """Where a modem is registered (27.007, 7.2 and 10.1.22)."""

    NOT = "not registered"
    HOME = "home"
    SEARCHING = "searching"
    DENIED = "denied"
    UNKNOWN = "unknown"
    ROAMING = "roaming"

    @property
    def is_registered(self) -> bool:
        """Whether there is service."""
        return self in {Registration.HOME, Registration.ROAMING}


_REGISTRATIONS = (
    Registration.NOT, Registration.HOME, Registration.SEARCHING, Registration.DENIED, Registration.UNKNOWN,
    Registration.ROAMING,
    Registration.HOME, Registration.ROAMING,  # for SMS alone
    Registration.NOT,  # emergency calls alone
    Registration.HOME, Registration.ROAMING,  # CSFB not preferred
    Registration.NOT,  # emergency bearer services alone
)  # fmt: skip
_TECHNOLOGIES = {
    0: "GSM", 1: "GSM", 2: "UMTS", 3: "GSM", 4: "UMTS", 5: "UMTS", 6: "UMTS", 7: "LTE",
    8: "LTE-M",  # EC-GSM-IoT to 27.007, which nobody built; modules mean LTE-M
    9: "NB-IoT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """A modem's registration, and where."""

    registration: Registration
    area: str | None = None
    """Tracking or location area code, hexadecimal."""
    cell: str | None = None
    rat: str | None = None
    """GSM, UMTS, LTE, LTE-M or NB-IoT."""


_CELL = re.compile(
    r'\+CE?REG: ?(?:[0-5],(?=[0-9]{1,2}(?:,|$)))?([0-9]{1,2})(?:,"?([0-9A-Fa-f]{1,4})"?,"?([0-9A-Fa-f]{1,8})"?'
    r"(?:,([0-9]{1,2}))?(?:,.*)?)?"
)


def cell(line: str) -> Cell | None:
    """`+CREG` or `+CEREG`, as an answer (with the setting first) or by itself."""
    found = _CELL.fullmatch(line)
    if found is None or int(found[1]) >= len(_REGISTRATIONS):
        return None
    rat = None if found[4] is None else _TECHNOLOGIES.get(int(found[4]))
    return Cell(_REGISTRATIONS[int(found[1])], found[2], found[3], rat)


@dataclass(frozen=True, slots=True)
class Signal:
    """What the receiver measures of its cell; None where it does not say."""

    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None


_RSRP_DBM, _RSRQ_DB, _SINR_DB = (-160.0, -30.0), (-40.0, 5.0), (-30.0, 50.0)
"""What lies outside is no measurement."""
_CESQ = re.compile(r"\+CESQ: ?[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},([0-9]{1,3}),([0-9]{1,3})(?:,.*)?")
_QCSQ = re.compile(
    r'\+QCSQ: ?"?(?:LTE|eMTC|CAT-M1|NBIoT|CAT-NB1)"?,-?[0-9]{1,3},(-?[0-9]{1,3}),(-?[0-9]{1,3}),(-?[0-9]{1,3})'
)
_CPSI = re.compile(r"\+CPSI: ?LTE[^,]*,Online,(?:[^,]*,){8}(-?[0-9]{1,4}),(-?[0-9]{1,5}),-?[0-9]{1,5},(-?[0-9]{1,3})")
_NO_LTE = re.compile(r'\+(?:QCSQ: ?"?(?:NOSERVICE|GSM|WCDMA|TDSCDMA|CDMA|HDR)|CPSI: ?(?:NO SERVICE|GSM|WCDMA|LTE)).*')


def signal(line: str) -> Signal | None:
    """`+CESQ` (27.007, 8.69), `+QCSQ` (Quectel) or `+CPSI` (SIMCom); nothing but None inside while not on LTE."""
    if (found := _CESQ.fullmatch(line)) is not None:
        rsrq, rsrp = int(found[1]), int(found[2])
        # steps of half a dB and of one dB, of which the lower edge is told
        return Signal(-141.0 + rsrp if rsrp <= 97 else None, -20.0 + rsrq / 2 if rsrq <= 34 else None)
    if (found := _QCSQ.fullmatch(line)) is not None:
        # 0 to 250 in fifths of a dB from -20 dB
        return _signal(float(found[1]), float(found[3]), int(found[2]) / 5 - 20)
    if (found := _CPSI.fullmatch(line)) is not None:
        # tenths; and the SINR is twice what is said, less 20 dB
        return _signal(int(found[2]) / 10, int(found[1]) / 10, 2.0 * int(found[3]) - 20)
    return Signal() if _NO_LTE.fullmatch(line) is not None else None


def _signal(rsrp_dbm: float, rsrq_db: float, sinr_db: float) -> Signal:
    return Signal(
        rsrp_dbm if _RSRP_DBM[0] <= rsrp_dbm <= _RSRP_DBM[1] else None,
        rsrq_db if _RSRQ_DB[0] <= rsrq_db <= _RSRQ_DB[1] else None,
        sinr_db if _SINR_DB[0] <= sinr_db <= _SINR_DB[1] else None,
    )


@dataclass(frozen=True, slots=True)
class Operator:
    """Whose network it is; None while there is none."""

    name: str | None
    rat: str | None = None


_COPS = re.compile(r'\+COPS: ?[0-4](?:,[0-2],"([^"]{0,64})"(?:,([0-9]{1,2}))?)?')


def operator(line: str) -> Operator | None:
    """`+COPS`, as the answer to what network is in use (27.007, 7.3)."""
    found = _COPS.fullmatch(line)
    if found is None:
        return None
    return Operator(found[1] or None, None if found[2] is None else _TECHNOLOGIES.get(int(found[2])))


class Sim(Enum):
    """What state the SIM is in, as far as a driver has to know."""

    READY = "ready"
    PIN = "wants its PIN"
    PUK = "blocked: wants its PUK"
    LOCKED = "locked to another device or network"
    ABSENT = "absent"
    BUSY = "busy"
    FAILED = "failed"


_CPIN = re.compile(r"\+CPIN: ?(.+)")
_STATES = {
    "READY": Sim.READY, "SIM PIN": Sim.PIN, "SIM PUK": Sim.PUK, "NOT INSERTED": Sim.ABSENT, "NOT READY": Sim.ABSENT,
    # the second PIN guards what is not used here
    "SIM PIN2": Sim.READY, "SIM PUK2": Sim.READY,
}  # fmt: skip
_SIM_ERRORS = {10: Sim.ABSENT, 11: Sim.PIN, 12: Sim.PUK, 13: Sim.FAILED, 14: Sim.BUSY, 15: Sim.FAILED}
"""By number of +CME ERROR, what it says of the SIM."""


def sim(line: str) -> Sim | None:
    """`+CPIN`, as an answer or by itself (27.007, 8.3); any code that is not a SIM's own is one of a lock."""
    found = _CPIN.fullmatch(line)
    return None if found is None else _STATES.get(found[1].strip(), Sim.LOCKED)


def sim_of_error(number: int | None) -> Sim:
    """What a refusal of +CPIN with this number of +CME ERROR says of it."""
    return Sim.FAILED if number is None else _SIM_ERRORS.get(number, Sim.FAILED)


_ATTEMPTS = re.compile(r'\+(?:QPINC: ?"SC",|SPIC: ?|CPINR: ?SIM PIN,)([0-9]{1,2})(?:,.*)?')


def attempts(line: str) -> int | None:
    """How many attempts at the PIN are left: `+QPINC` (Quectel), `+SPIC` (SIMCom) or `+CPINR` (27.007, 8.65)."""
    found = _ATTEMPTS.fullmatch(line)
    return None if found is None else int(found[1])


_IMEI = re.compile(r'(?:\+CGSN: ?)?"?([0-9]{14,16})"?')
_ICCID = re.compile(r'(?:\+(?:QCCID|ICCID|CCID): ?)?"?([0-9]{18,20})[Ff]?"?')


def imei(line: str) -> str | None:
    """The equipment's number (23.003, 6.2)."""
    found = _IMEI.fullmatch(line)
    return None if found is None else found[1]


def iccid(line: str) -> str | None:
    """The SIM's number (ITU-T E.118)."""
    found = _ICCID.fullmatch(line)
    return None if found is None else found[1]
