"""The commands about received messages: storages, announcing, reading and deleting. Pure.

Source: 3GPP TS 27.005, clauses 3.1 to 3.4 (text mode) and 4.1 to 4.4 (PDU mode). Sending is in modem_sending.py.
"""

import datetime
from collections.abc import Callable, Sequence

from bondmate_sim import gsm_alphabet, tpdu
from bondmate_sim.modem_at import Command, whole
from bondmate_sim.modem_body import OK, Answer, Body, Outcome
from bondmate_sim.modem_card import Stored
from bondmate_sim.modem_effects import Acknowledge, Attach, News
from bondmate_sim.modem_errors import CmsError
from bondmate_sim.modem_network import Network
from bondmate_sim.modem_sending import DEFAULT_CENTRE, Sending, require_card
from bondmate_sim.short_message import Delivery, UserData, is_seven_bit

STATES = ("REC UNREAD", "REC READ", "STO UNSENT", "STO SENT", "ALL")
INDICATIONS = "+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)"
LIMITS = (2, 3, 2, 2, 1)


class Messages:
    """Short messages of one modem; those that it keeps stay through resets."""

    def __init__(self, body: Body, network: Network, sending: Sending) -> None:
        """`sending` knows how messages are to be shown, and whose centre it is."""
        self._body = body
        self._network = network
        self._sending = sending
        self.restart()

    def restart(self) -> None:
        self._service = 0
        self._indications = [2, 1, 0, 0, 0]
        self._memories = ["SM", "SM", "SM"]
        self._details = 0
        self._unconfirmed: str | None = None

    # --- from the network ------------------------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """A message came. What finds no place is not acknowledged, and comes again when there is some."""
        if not self._network.registered:
            return
        if self._indications[1] in (2, 3):
            self._show(delivery)
            return
        memory = self._memories[2]
        place = self._body.stores[memory].put(delivery)
        if place is None:
            self._body.do(News(f"no place for a message in {memory}"))
            return
        self._body.do(News(f"message kept in {memory} {place}"))
        self._body.do(Acknowledge(delivery.id))
        if self._indications[1] == 1:
            self._body.report(f'+CMTI: "{memory}",{place}')

    def _show(self, delivery: Delivery) -> None:
        if self._sending.text_mode:
            lines = [f"+CMT: {self._header(delivery)}", self._words(delivery.data)]
        else:
            lines = [f"+CMT: ,{len(tpdu.deliver(delivery))}", self._pdu(delivery)]
        if self._service == 1:
            self._unconfirmed = delivery.id
        else:
            self._body.do(Acknowledge(delivery.id))
        self._body.report("\r\n".join(lines))

    # --- from the host ---------------------------------------------------------------------------------------------

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        match command.name:
            case "+CSMS" | "+CSDH" | "+CNMI":
                return self._obey_setting(command)
            case "+CPMS" | "+CMGR" | "+CMGL" | "+CMGD" | "+CNMA":
                require_card(self._body.card)
                return self._obey_message(command)
            case _:
                return None

    def _obey_setting(self, command: Command) -> Outcome:
        match command.name, command.kind, command.parameters:
            case "+CSMS", "test", _:
                return Answer(["+CSMS: (0,1)"])
            case "+CSMS", "read", _:
                return Answer([f"+CSMS: {self._service},1,1,1"])
            case "+CSMS", "set", [service]:
                self._service = whole(service, 0, 1)
                return Answer(["+CSMS: 1,1,1"])
            case "+CSDH", "set", [details]:
                self._details = whole(details, 0, 1)
            case "+CNMI", "test", _:
                return Answer([INDICATIONS])
            case "+CNMI", "read", _:
                return Answer([f"+CNMI: {','.join(map(str, self._indications))}"])
            case "+CNMI", "set", modes if len(modes) <= len(LIMITS):
                given = [whole(mode, 0, most) for mode, most in zip(modes, LIMITS, strict=False)]
                self._indications[: len(given)] = given
            case "+CSDH", "test", _:
                return OK
            case _:
                raise CmsError(303)
        return OK

    def _obey_message(self, command: Command) -> Outcome:
        match command.name, command.kind, command.parameters:
            case "+CMGR" | "+CMGD" | "+CNMA", "test", _:
                return Answer(["+CMGD: (0-19),(0-4)"]) if command.name == "+CMGD" else OK
            case "+CMGL", "test", _:
                words = ",".join(f'"{state}"' for state in STATES)
                return Answer([f"+CMGL: ({words if self._sending.text_mode else '0-4'})"])
            case "+CPMS", _, memories:
                return self._choose(command.kind, memories)
            case "+CMGR", "set", [place]:
                return self._read(whole(place, 0, 255))
            case "+CMGL", "run", _:
                return self._list("REC UNREAD" if self._sending.text_mode else "0")
            case "+CMGL", "set", [state]:
                return self._list(state)
            case "+CMGD", "set", [place, *how] if len(how) <= 1:
                return self._delete(whole(place, 0, 255), whole(how[0], 0, 4) if how else 0)
            case "+CNMA", "run" | "set", _:
                return self._confirm()
            case _:
                raise CmsError(305 if self._sending.text_mode else 304)

    def _choose(self, kind: str, memories: list[str]) -> Outcome:
        stores = self._body.stores
        if kind == "test":
            return Answer(['+CPMS: ("SM","ME"),("SM","ME"),("SM","ME")'])
        if kind == "set":
            if not 1 <= len(memories) <= 3 or not set(memories) <= set(stores):
                raise CmsError(302)
            self._memories[: len(memories)] = memories
        counts = [(name, stores[name].used, len(stores[name].places)) for name in self._memories]
        named = kind == "read"
        return Answer(
            [
                "+CPMS: "
                + ",".join(f'"{name}",{used},{all_}' if named else f"{used},{all_}" for name, used, all_ in counts)
            ]
        )

    def _read(self, place: int) -> Outcome:
        stored = self._body.stores[self._memories[0]].get(place)
        if stored is None:
            raise CmsError(321)
        state = int(stored.read)
        stored.read = True
        if self._sending.text_mode:
            head = f'+CMGR: "{STATES[state]}",{self._header(stored.delivery)}'
            return Answer([head, self._words(stored.delivery.data)])
        return Answer([f"+CMGR: {state},,{len(tpdu.deliver(stored.delivery))}", self._pdu(stored.delivery)])

    def _list(self, wanted: str) -> Outcome:
        names: Sequence[str] = STATES if self._sending.text_mode else [str(number) for number in range(len(STATES))]
        if wanted not in names:
            raise CmsError(305 if self._sending.text_mode else 304)
        state, lines = names.index(wanted), list[str]()
        for place, stored in self._body.stores[self._memories[0]].all():
            if state not in (int(stored.read), 4):
                continue
            if self._sending.text_mode:
                head = f'+CMGL: {place},"{STATES[stored.read]}",{self._header(stored.delivery)}'
                lines += [head, self._words(stored.delivery.data)]
            else:
                head = f"+CMGL: {place},{int(stored.read)},,{len(tpdu.deliver(stored.delivery))}"
                lines += [head, self._pdu(stored.delivery)]
            stored.read = True
        return Answer(lines)

    def _delete(self, place: int, how: int) -> Outcome:
        store = self._body.stores[self._memories[0]]
        doomed: dict[int, Callable[[int, Stored], bool]] = {
            0: lambda at, _: at == place,
            1: lambda _, stored: stored.read,
            2: lambda _, stored: stored.read,
            3: lambda _, stored: stored.read,
            4: lambda *_: True,
        }
        if place >= len(store.places):
            raise CmsError(321)
        was_full = store.used == len(store.places)
        store.delete([at for at, stored in store.all() if doomed[how](at, stored)])
        if was_full and store.used < len(store.places) and self._network.registered:
            self._body.do(Attach())  # 3GPP TS 23.040, clause 3.2.8: memory is available again
        return OK

    def _confirm(self) -> Outcome:
        if self._unconfirmed is None:
            raise CmsError(340)
        self._body.do(Acknowledge(self._unconfirmed))
        self._unconfirmed = None
        return OK

    # --- how messages look -----------------------------------------------------------------------------------------

    def _pdu(self, delivery: Delivery) -> str:
        return (tpdu.centre(self._sending.centre or DEFAULT_CENTRE) + tpdu.deliver(delivery)).hex().upper()

    def _header(self, delivery: Delivery) -> str:
        time = delivery.time.astimezone(datetime.UTC).strftime("%y/%m/%d,%H:%M:%S+00")
        head = f'"{self._body.text(delivery.sender)}",,"{time}"'
        if not self._details:
            return head
        data = delivery.data
        kind = 145 if delivery.sender.startswith("+") else 129
        centre = f'"{self._body.text(self._sending.centre or DEFAULT_CENTRE)}",145'
        return f"{head},{kind},{0x44 if data.header else 4},0,{data.coding},{centre},{data.length}"

    def _words(self, data: UserData) -> str:
        if is_seven_bit(data.coding) and not data.header:
            return self._body.text(gsm_alphabet.text(gsm_alphabet.unpack(data.octets, data.length)))
        return data.octets.hex().upper()
