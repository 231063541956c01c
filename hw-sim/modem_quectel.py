"""What a Quectel says of itself in its own words: SIM, signal, network, start and end. Pure.

Source: Quectel's AT commands manual for the EC2x, EG9x and EG2x-G series, V1.4: QPINC, QCCID, QCSQ, QNWINFO, QPOWD, and
what is said after the start. Its sockets are in modem_quectel_sockets.py.
"""

from collections.abc import Callable

from bondmate_sim import modem_radio
from bondmate_sim.modem_at import Command
from bondmate_sim.modem_body import OK, Answer, Body, Outcome
from bondmate_sim.modem_errors import CmeError
from bondmate_sim.modem_general import General
from bondmate_sim.modem_network import Network

OFF_S, ON_S = 0.65, 0.5
"""How long PWRKEY must be held to switch off and on (EG25-G hardware design, chapter 3.7)."""
FAREWELL = "POWERED DOWN"


class Quectel:
    """The maker's own part of an EC25, EG25-G or BG96."""

    no_card = "NOT INSERTED"
    """How +CPIN says that there is none."""

    def __init__(self, body: Body, network: Network, general: General, power_off: Callable[[], None]) -> None:
        """`power_off` is called when the host switches the modem off."""
        self._body = body
        self._network = network
        self._general = general
        self._power_off = power_off

    def boot_results(self) -> list[tuple[float, str]]:
        """What is said how long after the start."""
        card = self._body.card
        if not card.inserted:
            return [(0.05, "RDY"), (0.1, f"+CPIN: {self.no_card}")]
        ready = [(0.15, "+QIND: SMS DONE"), (0.2, "+QIND: PB DONE")] if card.ready else []
        return [(0.05, "RDY"), (0.1, f"+CPIN: {card.state}"), *ready]

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        rsrp_dbm = self._body.radio.rsrp_dbm
        match command.name, command.kind, command.parameters:
            case "+QPINC", "read", _:
                return Answer([self._attempts(), '+QPINC: "P2",3,10'])
            case "+QPINC", "set", ["SC"]:
                return Answer([self._attempts()])
            case "+QCCID", "run", _:
                return Answer([f"+QCCID: {self._general.iccid()}"])
            case "+QCSQ", "run" | "read", _:
                if rsrp_dbm is None or not self._network.registered:
                    return Answer(['+QCSQ: "NOSERVICE"'])
                # the SINR is in fifths of a dB, from -20 dB on
                sinr, rsrq = 5 * (modem_radio.sinr_db(rsrp_dbm) + 20), modem_radio.rsrq_db(rsrp_dbm)
                return Answer([f'+QCSQ: "LTE",{modem_radio.rssi_dbm(rsrp_dbm)},{rsrp_dbm},{sinr},{rsrq}'])
            case "+QNWINFO", "run", _:
                operator = self._network.operator
                if operator is None:
                    return Answer(["+QNWINFO: No Service"])
                return Answer([f'+QNWINFO: "FDD LTE","{operator.plmn}","LTE BAND 3",{modem_radio.BAND_3_CHANNEL}'])
            case "+QPOWD", "run" | "set", _:
                self._body.after(0.0, self._power_off)
                return OK
            case _:
                return None

    def _attempts(self) -> str:
        card = self._body.card
        if not card.inserted:
            raise CmeError(10)
        return f'+QPINC: "SC",{card.pin_attempts},{card.puk_attempts}'
