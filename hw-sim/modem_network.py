"""The commands about the network: registration, operator, signal, packet contexts and sleep. Pure.

Source: 3GPP TS 27.007, clauses 7.2, 7.3, 7.38, 7.40, 8.5, 8.69, 10.1.1, 10.1.9, 10.1.10, 10.1.20, 10.1.22, 10.1.23 and
10.1.31.
"""

from collections.abc import Callable

from bondmate_sim import modem_radio
from bondmate_sim.modem_at import Command, whole
from bondmate_sim.modem_body import LATER, OK, Answer, Body, Outcome
from bondmate_sim.modem_effects import Attach, Detach, News
from bondmate_sim.modem_errors import CmeError
from bondmate_sim.modem_radio import FOREIGN, HOME, STATES, UNKNOWN, Operator, Registration

REGISTER_S = 0.2
"""A search takes a second to minutes; tests need not wait so long."""
SCAN_S = 0.3
ADDRESS = "10.64.0.2"
E_UTRAN = 7
"""`<AcT>` of +COPS and +CEREG."""
CONTEXTS = range(1, 17)
DEFAULT_CONTEXT = 1
TYPES = ("IP", "IPV6", "IPV4V6")
AREAS = {"+CREG": "1A2B", "+CGREG": "1A2B", "+CEREG": modem_radio.TRACKING_AREA}


class Network:
    """Where the modem is registered, and its contexts."""

    def __init__(self, body: Body, lost: Callable[[], None]) -> None:
        """`lost` is called when all packet contexts went by themselves."""
        self._body = body
        self._lost = lost
        self.restart()

    def restart(self) -> None:
        self._reports = {"+CREG": 0, "+CGREG": 0, "+CEREG": 0}
        self._selection, self._format = 0, 0
        self._attached = True
        self._search = 0
        self.state: Registration = "none"

    @property
    def registered(self) -> bool:
        return self.state in ("home", "roaming")

    @property
    def online(self) -> bool:
        """Whether packets could go."""
        return self.registered and self._attached

    @property
    def operator(self) -> Operator | None:
        return {"home": HOME, "roaming": FOREIGN}.get(self.state)

    def look(self) -> None:
        """Something changed: power, SIM, signal or the network's mind."""
        wanted = self._wanted()
        self._search += 1
        if wanted in ("home", "roaming") and not self.registered:
            self._become("searching")
            search = self._search

            def found() -> None:
                if search == self._search:
                    self._become(self._wanted())

            self._body.after(REGISTER_S, found)
        else:
            self._become(wanted)

    def _wanted(self) -> Registration:
        body = self._body
        if body.function != 1 or not body.card.ready or self._selection == 2:
            return "none"
        if body.radio.rsrp_dbm is None and body.radio.registration != "none":
            return "searching"
        return body.radio.registration

    def _become(self, state: Registration) -> None:
        if state == self.state:
            return
        was_registered, self.state = self.registered, state
        self._body.do(News(f"registration {state}"))
        for name, report in self._reports.items():
            if report:
                self._body.report(f"{name}: {self._describe(name, report)}")
        if self.registered and not was_registered:
            if DEFAULT_CONTEXT in self._body.apns:
                self._body.active.add(DEFAULT_CONTEXT)  # LTE: no registration without it
            self._body.do(Attach())
        elif was_registered and not self.registered:
            self._body.do(Detach())
            self.drop_contexts()

    def drop_contexts(self) -> None:
        """The network takes the packet contexts away."""
        if self._body.active:
            self._lost()
            self._body.active.clear()

    def activate(self, context: int) -> bool:
        """Bring a packet context up; false when the network does not."""
        body = self._body
        if context not in body.apns or not self.online:
            return False
        name = body.apns[context][1]
        if body.setup.apn is not None and name.lower() != body.setup.apn.lower():
            body.do(News(f"refused the access point name {name!r}"))
            return False
        body.active.add(context)
        return True

    def obey(self, command: Command) -> Outcome | None:
        """None: the command is another's, or nobody's."""
        match command.name:
            case "+CREG" | "+CGREG" | "+CEREG":
                return self._obey_registration(command)
            case "+COPS":
                return self._obey_operator(command)
            case "+CSQ" | "+CESQ":
                return self._obey_signal(command)
            case "+CPSMS" | "+CEDRXS":
                return self._obey_sleep(command)
            case "+CGDCONT" | "+CGAUTH":
                return self._define_contexts(command)
            case "+CGATT" | "+CGACT" | "+CGPADDR":
                return self._obey_contexts(command)
            case _:
                return None

    def _describe(self, name: str, report: int) -> str:
        state = str(STATES[self.state])
        if report < 2 or not self.registered:
            return state
        return f'{state},"{AREAS[name]}","{modem_radio.CELL}",{E_UTRAN}'

    def _obey_registration(self, command: Command) -> Outcome:
        name, report = command.name, self._reports[command.name]
        match command.kind:
            case "test":
                return Answer([f"{name}: (0-2)"])
            case "read":
                return Answer([f"{name}: {report},{self._describe(name, report)}"])
            case "set":
                self._reports[name] = whole(command.text, 0, 2)
                return OK
            case _:
                raise CmeError(50)

    def _obey_operator(self, command: Command) -> Outcome:
        self._body.card.require()
        match command.kind, command.parameters:
            case "test", _:
                self._body.after(SCAN_S, lambda: self._body.finish(Answer([self._scan()])))
                return LATER
            case "read", _:
                return Answer([f"+COPS: {self._selection}{self._operator_text()}"])
            case "set", ["0"] | ["0", _]:
                self._select(0)
            case "set", ["2"]:
                self._select(2)
            case "set", ["3", form]:
                self._format = whole(form, 0, 2)
            case "set", ["1" | "4" as mode, form, operator, *_]:
                self._format = whole(form, 0, 2)
                wanted = self._body.radio.operator
                if wanted is None or self._body.words(operator) not in (wanted.name, wanted.short, wanted.plmn):
                    raise CmeError(30)
                self._select(int(mode))
            case _:
                raise CmeError(50)
        return OK

    def _select(self, selection: int) -> None:
        self._selection = selection
        self.look()

    def _operator_text(self) -> str:
        operator = self.operator
        if operator is None:
            return ""
        words = (operator.name, operator.short, operator.plmn)[self._format]
        return f',{self._format},"{self._body.text(words) if self._format < 2 else words}",{E_UTRAN}'

    def _scan(self) -> str:
        current = self.operator
        heard = [] if self._body.radio.rsrp_dbm is None else [HOME, FOREIGN]
        text = self._body.text
        found = (
            f'({2 if one == current else 1},"{text(one.name)}","{text(one.short)}","{one.plmn}",{E_UTRAN})'
            for one in heard
        )
        return f"+COPS: {','.join(found)},,(0-4),(0-2)"

    def _obey_signal(self, command: Command) -> Outcome:
        rsrp_dbm = self._body.radio.rsrp_dbm if self._body.function == 1 else None
        match command.name, command.kind:
            case "+CSQ", "test":
                return Answer(["+CSQ: (0-31,99),(0-7,99)"])
            case "+CESQ", "test":
                return Answer(["+CESQ: (0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)"])
            case "+CSQ", "run":
                return Answer([f"+CSQ: {modem_radio.csq(rsrp_dbm)},{UNKNOWN}"])
            case "+CESQ", "run":
                rsrq, rsrp = modem_radio.cesq(rsrp_dbm)
                return Answer([f"+CESQ: {UNKNOWN},{UNKNOWN},255,255,{rsrq},{rsrp}"])
            case _:
                raise CmeError(50)

    def _obey_sleep(self, command: Command) -> Outcome:
        """The settings are kept and told; the modem never sleeps."""
        name, kept = command.name, self._body.saved
        match command.kind, command.parameters:
            case "test", _:
                return Answer(["+CPSMS: (0,1)" if name == "+CPSMS" else '+CEDRXS: (0-3),(4),("0000"-"1111")'])
            case "read", _:
                return Answer([f"{name}: {kept.get(name, '0')}"])
            case "set", [mode, *_]:
                if whole(mode, 0, 1 if name == "+CPSMS" else 3) in (0, 3):
                    kept.pop(name, None)
                elif name == "+CPSMS":
                    kept[name] = command.text
                else:
                    kept[name] = command.text.partition(",")[2]
                return OK
            case _:
                raise CmeError(50)

    def _define_contexts(self, command: Command) -> Outcome:
        apns = self._body.apns
        match command.name, command.kind, command.parameters:
            case "+CGDCONT", "test", _:
                return Answer([f'+CGDCONT: (1-{CONTEXTS[-1]}),"{one}",,,(0,1,2),(0,1,2,3)' for one in TYPES])
            case "+CGDCONT", "read", _:
                return Answer([f'+CGDCONT: {one},"{kind}","{apn}","0.0.0.0",0,0' for one, (kind, apn) in self._apns()])
            case "+CGDCONT", "set", [context]:
                apns.pop(_context(context), None)
            case "+CGDCONT", "set", [context, kind, *apn] if kind in TYPES:
                apns[_context(context)] = (kind, apn[0] if apn else "")
            case "+CGAUTH", "set", [context, *_]:
                _context(context)
            case _:
                raise CmeError(50)
        return OK

    def _obey_contexts(self, command: Command) -> Outcome:
        active = self._body.active
        match command.name, command.kind, command.parameters:
            case "+CGATT" | "+CGACT", "test", _:
                return Answer([f"{command.name}: (0,1)"])
            case "+CGATT", "read", _:
                return Answer([f"+CGATT: {int(self.online)}"])
            case "+CGATT", "set", [wanted]:
                self._attach(whole(wanted, 0, 1) == 1)
            case "+CGACT", "read", _:
                return Answer([f"+CGACT: {one},{int(one in active)}" for one, _ in self._apns()])
            case "+CGACT", "set", [wanted, context]:
                self._switch(_context(context), whole(wanted, 0, 1) == 1)
            case "+CGPADDR", "run" | "set", _:
                return Answer([f'+CGPADDR: {one},"{ADDRESS if one in active else ""}"' for one, _ in self._apns()])
            case _:
                raise CmeError(50)
        return OK

    def _switch(self, context: int, on: bool) -> None:
        if not on:
            self._body.active.discard(context)
        elif not self.activate(context):
            raise CmeError(148)

    def _apns(self) -> list[tuple[int, tuple[str, str]]]:
        return sorted(self._body.apns.items())

    def _attach(self, wanted: bool) -> None:
        if wanted and not self.registered:
            raise CmeError(30)
        self._attached = wanted
        if not wanted:
            self.drop_contexts()


def _context(text: str) -> int:
    return whole(text, CONTEXTS[0], CONTEXTS[-1])
