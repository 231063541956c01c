"""How a modem is, and what is wrong with it, in words."""

from bondmate.core.cellular import Registration, Sim
from bondmate.core.ladder import Step
from bondmate.drivers.modem_boot import Known, ModemSettings
from bondmate.ports import ModemState, PartFault


def state(port: str, known: Known, why_not: str | None, step: Step | None, sockets: int) -> ModemState:
    """For whoever looks at it."""
    return ModemState(
        port=port,
        present=known.set_up_s is not None,
        why_not=why_not,
        model=known.model,
        imei=known.imei,
        iccid=known.iccid,
        sim=None if known.sim is None else known.sim.value,
        registration=None if known.registration is Registration.UNKNOWN else known.registration.value,
        roaming=known.registration is Registration.ROAMING,
        operator=known.operator.name,
        rat=known.cell.rat or known.operator.rat,
        rsrp_dbm=known.signal.rsrp_dbm,
        rsrq_db=known.signal.rsrq_db,
        sinr_db=known.signal.sinr_db,
        recovery=None if step is None else step.value,
        refused=tuple(known.refused),
        sockets=sockets,
        troubles=dict(known.troubles),
    )


def silence(port: str, problem: str, step: Step | None) -> PartFault:
    """The port is there, and the modem is not of use."""
    tried = "" if step is None else f"; last tried: {step.value}"
    text = f"the modem on {port} does not answer as it should: {problem}{tried}"
    return PartFault("modem-silent", text, "it is helped by itself; if that lasts, check its power")


def faults(port: str, known: Known, network_fault: str | None) -> tuple[PartFault, ...]:
    """What is wrong while it answers."""
    found = []
    if known.dialect is None:
        text = f"the modem on {port} is a {known.model}, which is not known here: SMS alone is used"
        found.append(PartFault("modem-unknown", text, "use a Quectel EC25, EG25 or BG96, or a SIMCom SIM7600"))
    if known.sim is not None and known.sim is not Sim.READY:
        code, advice = _SIM_FAULTS[known.sim]
        reason = f": {known.pin_problem}" if known.sim is Sim.PIN and known.pin_problem is not None else ""
        found.append(PartFault(code, f"the SIM in the modem on {port}: {known.sim.value}{reason}", advice))
    elif network_fault is not None:
        found.append(PartFault("not-registered", network_fault, _NEXT_NETWORK))
    return tuple(found)


def network_fault(settings: ModemSettings, known: Known, now: float, settle_s: float) -> str | None:
    """Why the network is of no use, in words; None while it is, or the modem may still find one."""
    if known.registration is Registration.ROAMING and not settings.roaming:
        return f"the modem on {settings.port} is in a foreign network, and modem.roaming is off"
    if known.registration.is_registered or known.set_up_s is None:
        return None
    if now - known.set_up_s < settle_s and known.registration is not Registration.DENIED:
        return None
    return f"the modem on {settings.port} is in no network: {known.registration.value}"


_SIM_FAULTS = {
    Sim.ABSENT: ("sim-absent", "put a SIM in, the contacts down"),
    Sim.PIN: ("sim-pin", "put the right PIN into modem.pin_file, or take it off the SIM"),
    Sim.PUK: ("sim-puk", "enter the PUK with a telephone: that is never done here"),
    Sim.LOCKED: ("sim-locked", "use a modem, or a SIM, that is not locked"),
    Sim.BUSY: ("sim-failed", "take the SIM out and put it in again; if that does not help, use another"),
    Sim.FAILED: ("sim-failed", "take the SIM out and put it in again; if that does not help, use another"),
}
"""Code, and what to do next."""
_NEXT_NETWORK = "check the antenna, the coverage, the SIM's contract, and modem.roaming"
