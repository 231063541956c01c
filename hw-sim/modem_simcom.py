"""What a SIMCom says of itself in its own words: SIM, signal, network, start and end. Pure.

Source: SIMCom's AT command manual for the SIM7500 and SIM7600 series, V2.00: CICCID, SPIC, CPSI, CRESET and CPOF.
Its sockets are in modem_simcom_sockets.py.
"""

from collections.abc import Callable

from bondmate_sim import modem_radio
from bondmate_sim.modem_at import Command
from bondmate_sim.modem_body import OK, Answer, Body, Outcome
from bondmate_sim.modem_errors import CmeError
from bondmate_sim.modem_general import RESET_S, General
from bondmate_sim.modem_network import Network

OFF_S, ON_S = 2.5, 0.1
"""How long PWRKEY must be held to switch off and on (SIM7600 series hardware design, chapter 3.2)."""
FAREWELL = "NORMAL POWER DOWN"


class Simcom:
    """The maker's own part of a SIM7500 or SIM7600."""

    no_card = "SIM REMOVED"
    """How +CPIN says that there is none."""

    def __init__(
        self, body: Body, network: Network, general: General, power_off: Callable[[], None], reset: Callable[[], None]
    ) -> None:
        """`power_off` and `reset` are called when the host asks for them."""
        self._body = body
        self._network = network
        self._general = general
        self._power_off = power_off
        self._reset = reset

    def boot_results(self) -> list[tuple[float, str]]:
        """What is said how long after the start."""
        card = self._body.card
        if not card.inserted:
            return [(0.05, "RDY"), (0.1, f"+CPIN: {self.no_card}")]
        ready = [(0.15, "SMS DONE"), (0.2, "PB DONE")] if card.ready else []
        return [(0.05, "RDY"), (0.1, f"+CPIN: {card.state}"), *ready]

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        card = self._body.card
        match command.name, command.kind:
            case "+SPIC", "run":
                if not card.inserted:
                    raise CmeError(10)
                return Answer([f"+SPIC: {card.pin_attempts},{card.puk_attempts},3,10"])
            case "+CICCID", "run":
                return Answer([f"+ICCID: {self._general.iccid()}"])
            case "+CPSI", "read":
                return Answer([f"+CPSI: {self._system()}"])
            case "+CRESET", "run":
                self._body.after(RESET_S, self._reset)
                return OK
            case "+CPOF", "run":
                self._body.after(0.0, self._power_off)
                return OK
            case _:
                return None

    def _system(self) -> str:
        mode = {0: "Low Power Mode", 1: "Online", 4: "Offline"}.get(self._body.function, "Low Power Mode")
        operator, rsrp_dbm = self._network.operator, self._body.radio.rsrp_dbm
        if operator is None or rsrp_dbm is None:
            return f"NO SERVICE,{mode}"
        area, cell = f"0x{modem_radio.TRACKING_AREA}", int(modem_radio.CELL, 16)
        rsrq, rssi = modem_radio.rsrq_db(rsrp_dbm), modem_radio.rssi_dbm(rsrp_dbm)
        # RSRQ, RSRP and RSSI are in tenths; the SINR is twice the last number less 20
        signal = f"{10 * rsrq},{10 * rsrp_dbm},{10 * rssi},{(modem_radio.sinr_db(rsrp_dbm) + 20) // 2}"
        return (
            f"LTE,{mode},{operator.plmn[:3]}-{operator.plmn[3:]},{area},{cell},{modem_radio.PHYSICAL_CELL},"
            f"EUTRAN-BAND3,{modem_radio.BAND_3_CHANNEL},5,5,{signal}"
        )
