"""How each part is looked at in a self-test: what has to be seen of it, and what is said where that never comes.

One probe a check of core/selftest. No probe holds anything up: each has a task of its own, and is left alone when its
time is over. Texts name no secret and no place, for some of each goes into a record.
"""

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bondmate.core.clock import GnssClock
from bondmate.core.selftest import Verdict
from bondmate.core.tapping import Press
from bondmate.enrolment_file import fingerprint
from bondmate.errors import BondMateError, LinkError, LocalError, StoreError
from bondmate.faults import Faults
from bondmate.keeping import ADVICE
from bondmate.parts import Parts
from bondmate.ports import NOTHING_SENT, Bearer, ModemState
from bondmate.records import Fix, Moment, UtcTime

LOOK_S = 0.2
"""How often a part is looked at."""
AGAIN_S = 1.0
TRIES = 4
"""So often the gateway is asked over a bearer: a start counter that is behind is found out by the third answer."""
CLOCK_OFF_MS = 2_000
"""A clock that is further from the receiver's than this is wrong: fixes themselves come up to a second late."""
STORED_AS = "self-test"
"""Under which name the disk gets what is written; nothing stays of it."""
_NO_SIM_NEXT = "put a SIM in, the contacts down; see bondmatectl bearers"


@dataclass(slots=True, kw_only=True)
class Bench:
    """What a test looks at, and what happened since it began."""

    parts: Parts
    utc: Callable[[float], UtcTime | None]
    gnss_clock: GnssClock
    moment: Callable[[], Moment]
    store_state: Callable[[], int | None]
    battery: Callable[[], dict[str, Any] | None]
    """As in `bondmatectl status --json`."""
    ask: Callable[[Bearer], Awaitable[None]]
    """Asks the gateway over a bearer. Raises LinkError."""
    show_led: Callable[[], Awaitable[None]]
    """Shows what the LED can do, to its end."""
    vibrate: Callable[[], Awaitable[None]]
    """Lets the motor be felt, to its end."""
    sentences: int = 0
    """How many the receiver had spoken before."""
    fixes: list[Fix] = field(default_factory=list)
    """The last one that came; where it was is looked at by nobody."""
    presses: list[Press] = field(default_factory=list)
    """The last one that came since it was asked for."""

    @property
    def now(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()

    @property
    def faults(self) -> Faults:
        """Of the whole device."""
        return self.parts.faults

    def bearer(self, name: str) -> Bearer | None:
        """The bearer of that name, where it is configured."""
        return next((bearer for bearer in self.parts.bearers if bearer.name == name), None)


@dataclass(frozen=True, slots=True)
class Probe:
    """Looks at one part: `run` returns as soon as it is certain, `late` says how it stands when its time is over."""

    run: Callable[[], Awaitable[Verdict]]
    late: Callable[[], Verdict]


def probes(bench: Bench) -> Mapping[str, Probe]:
    """By the names of core/selftest."""
    return {
        "gnss": _watched(lambda: _gnss(bench), lambda: _no_gnss(bench)),
        "fix": _watched(lambda: _fix(bench), lambda: _no_fix(bench)),
        "modem": _watched(lambda: _modem(bench), lambda: _no_modem(bench)),
        "sim": _watched(lambda: _sim(bench), lambda: _no_sim(bench)),
        "registration": _watched(lambda: _registration(bench), lambda: _no_registration(bench)),
        "button": _watched(lambda: _button(bench), _no_button),
        "led": Probe(lambda: _led(bench), lambda: _unfinished("the LED's flashes")),
        "vibration": Probe(lambda: _vibration(bench), lambda: _unfinished("the vibrations")),
        "battery": _watched(lambda: _battery(bench), lambda: _no_battery(bench)),
        "storage": Probe(lambda: _storage(bench), lambda: _no_storage(bench)),
        "clock": _watched(lambda: _clock(bench), _no_clock),
        "keys": Probe(lambda: _keys(bench), _no_keys),
        "gateway-ip": Probe(lambda: _gateway(bench, "ip"), lambda: _no_gateway(bench, "ip")),
        "gateway-lte": Probe(lambda: _gateway(bench, "lte"), lambda: _no_gateway(bench, "lte")),
        "gateway-sms": _watched(lambda: _sms(bench), lambda: _sms(bench)),
    }


def _watched(look: Callable[[], Verdict | None], late: Callable[[], Verdict]) -> Probe:
    """Looked at again and again, until there is a verdict."""

    async def run() -> Verdict:
        while (verdict := look()) is None:  # noqa: ASYNC110 - parts tell nobody
            await asyncio.sleep(LOOK_S)
        return verdict

    return Probe(run, late)


# --- the receiver ------------------------------------------------------------------------------------


def _gnss(bench: Bench) -> Verdict | None:
    state = bench.parts.locator.state()
    came = sum(state.sentences.values()) - bench.sentences
    if came <= 0:
        return None
    speed = "" if state.speed_baud is None else f" at {state.speed_baud} baud"
    return Verdict(True, f"sentences come{speed}")


def _no_gnss(bench: Bench) -> Verdict:
    faults = bench.parts.locator.faults()
    if faults:
        return Verdict(False, faults[0].text, faults[0].next)
    return Verdict(False, "no sentence came", "check the receiver's power and cable, and gnss.port")


def _fix(bench: Bench) -> Verdict | None:
    if not bench.fixes or bench.fixes[-1].suspect:
        return None
    fix = bench.fixes[-1]
    said = [f"{fix.mode}D"]
    said += [] if fix.satellites is None else [f"{fix.satellites} satellites"]
    said += [] if fix.hdop is None else [f"HDOP {fix.hdop:g}"]
    return Verdict(True, ", ".join(said))


def _no_fix(bench: Bench) -> Verdict:
    antenna = next((each for each in bench.parts.locator.faults() if each.code == "gnss-antenna"), None)
    if antenna is not None:
        return Verdict(False, antenna.text, antenna.next)
    if bench.fixes:
        why = f"only fixes that cannot be true: {', '.join(each.label for each in bench.fixes[-1].suspect)}"
        return Verdict(False, why, "look for what disturbs the receiver, and at its antenna")
    why_not = bench.parts.locator.state().why_not
    said = f"no fix: {', '.join(why_not)}" if why_not else "no fix"
    return Verdict(False, said, "go under the open sky and test again; then check the antenna")


# --- the modem ---------------------------------------------------------------------------------------


def _modem_state(bench: Bench) -> ModemState | None:
    return None if bench.parts.modem is None else bench.parts.modem.state()


def _modem(bench: Bench) -> Verdict | None:
    state = _modem_state(bench)
    if state is None:
        return Verdict(None, "none is configured")
    # a modem that is asked for its SIM has answered, whatever is the matter with that
    return Verdict(True, state.model or "answers") if state.present or state.sim is not None else None


def _no_modem(bench: Bench) -> Verdict:
    return _of_modem(bench, "it does not answer", "check its power and its cable, and modem.port")


def _sim(bench: Bench) -> Verdict | None:
    state = _modem_state(bench)
    if state is None or state.sim is None:
        return None
    if state.sim == "ready":
        return Verdict(True, "ready")
    return None if state.sim == "busy" else _of_modem(bench, state.sim, _NO_SIM_NEXT)


def _no_sim(bench: Bench) -> Verdict:
    state = _modem_state(bench)
    return _of_modem(bench, (state and state.sim) or "nothing is known of it", _NO_SIM_NEXT)


def _registration(bench: Bench) -> Verdict | None:
    state = _modem_state(bench)
    if state is None or state.why_not is not None or state.registration is None:
        return None
    said = [state.registration]
    said += [] if state.rat is None else [state.rat]
    said += [] if state.rsrp_dbm is None else [f"RSRP {state.rsrp_dbm:g} dBm"]
    return Verdict(True, ", ".join(said))


def _no_registration(bench: Bench) -> Verdict:
    state = _modem_state(bench)
    said = (state and (state.why_not or state.registration)) or "no network"
    return _of_modem(bench, said, "check the antenna, the coverage, and the SIM's contract")


def _of_modem(bench: Bench, text: str, next_step: str) -> Verdict:
    """What the modem itself says is wrong comes first."""
    faults = () if bench.parts.modem is None else bench.parts.modem.faults()
    return Verdict(False, faults[0].text, faults[0].next) if faults else Verdict(False, text, next_step)


# --- the person --------------------------------------------------------------------------------------


def _button(bench: Bench) -> Verdict | None:
    if not bench.presses:
        return None
    press = bench.presses[-1]
    return Verdict(True, f"pressed for {press.ended_s - press.began_s:.2f} s")


def _no_button() -> Verdict:
    return Verdict(False, "no press came", "press it briefly when asked; if you did, check its wiring and button_pin")


async def _led(bench: Bench) -> Verdict:
    await bench.show_led()
    return _driven(bench, "led", "flashed three times, twice; seen by you alone")


async def _vibration(bench: Bench) -> Verdict:
    await bench.vibrate()
    return _driven(bench, "vibration", "two very long ones; felt by you alone")


def _driven(bench: Bench, code: str, text: str) -> Verdict:
    """Software knows that a line was driven and followed, and not what hangs on it."""
    fault = next((each for each in bench.parts.indicator.faults() if each.code == code), None)
    return Verdict(True, text) if fault is None else Verdict(False, fault.text, fault.next)


def _unfinished(what: str) -> Verdict:
    return Verdict(False, f"{what} did not come to their end", "run the self-test again; then see the log")


# --- what the device has in itself -------------------------------------------------------------------


def _battery(bench: Bench) -> Verdict | None:
    if bench.parts.battery is None:
        return Verdict(None, "none is configured")
    if (critical := bench.faults.find("battery-critical")) is not None:
        return Verdict(False, critical.text, critical.next)
    battery = bench.battery()
    if battery is None:
        return None
    return Verdict(True, f"{battery['percent']} %{', charging' if battery['charging'] else ''}")


def _no_battery(bench: Bench) -> Verdict:
    faults = () if bench.parts.battery is None else bench.parts.battery.faults()
    if faults:
        return Verdict(False, faults[0].text, faults[0].next)
    return Verdict(False, "it does not say how full it is", "look at battery.path, and at the battery's gauge")


async def _storage(bench: Bench) -> Verdict:
    """The store's own way to the disk: what it returns from is synced."""
    while bench.store_state() is None:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(LOOK_S)
    octets, began_s = secrets.token_bytes(16), bench.now
    outbox = bench.parts.outbox
    try:
        await outbox.keep(STORED_AS, octets, bench.moment())
        took_s = bench.now - began_s
        same = await outbox.kept(STORED_AS) == octets
        await outbox.keep(STORED_AS, None, bench.moment())
    except StoreError as error:
        return Verdict(False, str(error), ADVICE[error.trouble])
    if not same:
        return Verdict(False, "the disk gave back other octets than it got", "replace the card now")
    for code in ("store", "reserve"):
        if (fault := bench.faults.find(code)) is not None:
            return Verdict(False, fault.text, fault.next)
    return Verdict(True, f"written and synced in {took_s * 1000:.0f} ms")


def _no_storage(bench: Bench) -> Verdict:
    fault = bench.faults.find("store")
    if fault is not None:
        return Verdict(False, fault.text, fault.next)
    return Verdict(False, "the disk takes no writes", "restart the device; replace the card if that does not help")


def _clock(bench: Bench) -> Verdict | None:
    now = bench.now
    time, receivers = bench.utc(now), bench.gnss_clock.utc(now)
    if time is None:
        return None
    if receivers is not None and abs(time.unix_ms - receivers.unix_ms) > CLOCK_OFF_MS:
        off_s = abs(time.unix_ms - receivers.unix_ms) / 1000
        return Verdict(False, f"{off_s:.0f} s from the receiver's time", "see whether chrony runs: chronyc sources")
    within = "" if time.uncertainty_ms is None else f", within {time.uncertainty_ms} ms"
    return Verdict(True, f"UTC from {time.source.label}{within}")


def _no_clock() -> Verdict:
    return Verdict(False, "UTC is not known", "it comes with fixes, or over the network: see fix, and gateway-ip")


async def _keys(bench: Bench) -> Verdict:
    parts = bench.parts
    anew = "hand the device in; a technician enrols it anew"
    try:
        parts.recorder.prove()
        known = None if parts.read_credentials is None else await parts.read_credentials()
    except (BondMateError, OSError) as error:
        text = error.problems[0] if isinstance(error, LocalError) and hasattr(error, "problems") else str(error)
        return Verdict(False, text, anew)
    public_key = parts.recorder.public_key
    if known is not None and (known.device, known.signer.public_key) != (parts.recorder.device, public_key):
        return Verdict(False, "the credentials on the disk are not those in use", "restart the device")
    if (exposed := bench.faults.find("credentials")) is not None:
        return Verdict(False, exposed.text, exposed.next)
    return Verdict(True, f"{fingerprint(public_key)} signs and verifies")


def _no_keys() -> Verdict:
    return Verdict(False, "the credentials cannot be read in time", "see that their disk works")


# --- the gateway -------------------------------------------------------------------------------------


async def _gateway(bench: Bench, name: str) -> Verdict:
    """To the gateway and back, over this bearer alone."""
    bearer = bench.bearer(name)
    if bearer is None:
        return Verdict(None, "not configured")
    for left in reversed(range(TRIES)):
        began_s = bench.now
        try:
            await bench.ask(bearer)
        except LinkError as error:
            if not left:
                return Verdict(False, str(error), _ADVICE[name])
            await asyncio.sleep(AGAIN_S)
        else:
            return Verdict(True, f"answered in {(bench.now - began_s) * 1000:.0f} ms")
    raise AssertionError


def _no_gateway(bench: Bench, name: str) -> Verdict:
    bearer = bench.bearer(name)
    why = None if bearer is None or bearer.why_not == NOTHING_SENT else bearer.why_not
    return Verdict(False, why or "no answer in time", _ADVICE[name])


def _sms(bench: Bench) -> Verdict:
    """Nothing is sent: each message costs, and `ip` is there on every device. A receipt that came by SMS proves it."""
    bearer = bench.bearer("sms")
    if bearer is None:
        return Verdict(None, "not configured")
    if bearer.last_success_s is not None and math.isfinite(bearer.last_success_s):
        return Verdict(True, f"a receipt came {bench.now - bearer.last_success_s:.0f} s ago")
    return Verdict(None, "not tried, for each SMS costs")


_ADVICE = {
    "ip": "check the network, the gateway's address, and that its UDP port is open",
    "lte": "check modem.apn, and that the SIM's contract has data",
}
