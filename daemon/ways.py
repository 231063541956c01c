"""The ways to the gateway, as configuration and credentials allow: bearers, what each is used for, and the modem."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from gpiozero.pins import Factory

from bondmate.config import Configuration
from bondmate.core.routes import Route, over_ip, over_lte, over_sms
from bondmate.credentials import Address, ChannelKeys, Credentials
from bondmate.drivers.modem import Modem
from bondmate.drivers.modem_boot import ModemSettings
from bondmate.drivers.modem_power import PinModemPower
from bondmate.errors import LocalError
from bondmate.ports import Bearer
from bondmate.records import SessionId
from bondmate.transport.coap import CoapBearer
from bondmate.transport.lte import Lte
from bondmate.transport.sms import SmsBearer
from bondmate.transport.udp import Udp

PIN_MEMORY_FILE = "sim-pin"
"""In the state directory: which PIN was tried. A SIM locks itself after three wrong ones."""


@dataclass(slots=True)
class Ways:
    """In order of preference."""

    routes: list[Route] = field(default_factory=list)
    over_coap: list[CoapBearer] = field(default_factory=list)
    sms: SmsBearer | None = None
    modem: Modem | None = None
    power: PinModemPower | None = None

    @property
    def bearers(self) -> tuple[Bearer, ...]:
        """All of them."""
        return tuple(self.over_coap) if self.sms is None else (*self.over_coap, self.sms)

    def listen(
        self,
        take_receipt: Callable[[bytes], None],
        wake_up: Callable[[], None],
        reachable: Callable[..., None],
    ) -> None:
        """Hear what the gateway says by itself, receipts and that it wishes to be asked; and the modem.

        `reachable` is told the names of bearers that work again.
        """
        for bearer in self.over_coap:
            bearer.listen(take_receipt, wake_up)
        if self.sms is not None:
            self.sms.listen(take_receipt, wake_up)
        if self.modem is not None:
            self.modem.on_ready(lambda: reachable(*(bearer.name for bearer in self.bearers if bearer.name != "ip")))

    async def close(self) -> None:
        """Close all that is open."""
        for bearer in self.over_coap:
            await bearer.close()
        if self.power is not None:
            self.power.close()


def ways_to_gateway(
    configuration: Configuration,
    known: Credentials,
    session: SessionId,
    renew: Callable[[], SessionId],
    factory: Factory,
) -> Ways:
    """What there is; `renew` as CoapBearer has it.

    Raises LocalError for a pin that cannot be had, or keys that are not there.
    """

    def renew_all() -> SessionId:
        ahead = renew()
        if ways.sms is not None:
            ways.sms.renewed(ahead)  # nobody answers by SMS that it is behind
        return ahead

    ip = CoapBearer("ip", known.bearers["ip"], session, Udp(known.addresses).open, renew_all)
    ways = Ways([over_ip()], [ip])
    numbers = configuration.sms
    modem = _plug_in(ways, configuration, factory)
    if modem is None:
        return ways
    lte = CoapBearer("lte", _keys(known, "lte"), session, Lte(modem, known.addresses).open, renew_all)
    ways.over_coap.append(lte)
    ways.routes.append(over_lte())
    if numbers.gateway_number is not None:
        ways.sms = SmsBearer(_keys(known, "sms"), session, modem, numbers.gateway_number, numbers.allowed_numbers)
        ways.routes.append(over_sms(configuration.delivery.sms_after_s))
    return ways


def ways_to_enrol(
    configuration: Configuration, keys: ChannelKeys, addresses: tuple[Address, ...], factory: Factory
) -> Ways:
    """What there is for a device that is not enrolled: the same keys over each bearer, so each has its own sessions.

    A start counter decides nothing here, and is not drawn: no two sessions are the same by their 48 random bits.
    Raises LocalError for a pin that cannot be had.
    """
    ways = Ways(over_coap=[CoapBearer("ip", keys, _any_session(), Udp(addresses).open, _any_session)])
    modem = _plug_in(ways, configuration, factory)
    if modem is not None:
        ways.over_coap.append(CoapBearer("lte", keys, _any_session(), Lte(modem, addresses).open, _any_session))
    return ways


def _any_session() -> SessionId:
    return SessionId(secrets.token_bytes(6))


def _plug_in(ways: Ways, configuration: Configuration, factory: Factory) -> Modem | None:
    section = configuration.modem
    if section.port is None:
        return None
    ways.power = PinModemPower(factory, section.power_key_pin, section.power_rail_pin)
    ways.modem = Modem(_modem_settings(configuration, section.port), ways.power)
    return ways.modem


def _keys(known: Credentials, bearer: str) -> ChannelKeys:
    if bearer not in known.bearers:
        raise LocalError(f"the enrolment file has no keys for the bearer {bearer}: enrol the device anew")
    return known.bearers[bearer]


def _modem_settings(configuration: Configuration, port: str) -> ModemSettings:
    section, state_dir = configuration.modem, configuration.device.state_dir
    return ModemSettings(
        port=port,
        speed_baud=section.speed_baud,
        apn=section.apn,
        pin_file=section.pin_file,
        pin_memory=state_dir / PIN_MEMORY_FILE,
        roaming=section.roaming,
    )
