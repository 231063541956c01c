"""Two devices with one file, in any order, with lost answers and restarts: one key, and nobody is stranded."""

import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.gateway.recruit import Exchange, Keys, Office, Recruit

TAKEN, OTHER_KEY = 0, 2
BOTH = st.integers(0, 1)


class Carrier:
    """A device: what its card keeps, what it has in memory, and a network that loses what it is told to."""

    def __init__(self, office: Office, recruit: Recruit) -> None:
        self.office = office
        self.recruit = recruit
        recruit.send = self.send
        self.lose: str | None = None
        self.own: Keys | None = None
        self.new: Keys | None = None
        """Agreed on, committed, and not used with success yet."""
        self.exchange: Exchange | None = None
        self.refused = False

    def send(self, raw: bytes) -> Any:
        lose, self.lose = self.lose, None
        if lose == "request":
            return None
        response = self.office.send(raw)
        return None if lose == "answer" else response

    def ask(self) -> None:
        verdict = self.recruit.ask()
        assert verdict in {None, TAKEN, OTHER_KEY}
        self.refused = self.refused or verdict == OTHER_KEY

    def begin(self) -> None:
        self.exchange = self.recruit.exchange()
        if not self.exchange.begin(self.recruit.context(self.own)):
            self.exchange = None

    def end(self) -> None:
        if self.exchange is not None:
            self.new = self.exchange.end(self.recruit.context(self.own)) or self.new

    def use(self) -> None:
        if self.new is not None and self.recruit.alert(self.new, secrets.choice(("ip", "lte", "sms"))):
            self.own, self.new = self.new, None

    def reboot(self) -> None:
        self.exchange = None

    def settle(self) -> bool:
        """Go on as the specification says, with nothing lost, until an alert is answered under keys of its own."""
        self.reboot()
        for _ in range(3):
            self.use()
            if self.own is not None and self.recruit.alert(self.own):
                return True
            if self.own is None:
                self.recruit.ask()
            self.begin()
            self.end()
        raise AssertionError("the device is stranded")


class Story(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.office = Office(self.place / "data")
        file = self.office.file()
        self.devices = [Carrier(self.office, self.office.recruit(file)) for _ in range(2)]
        self.key: bytes | None = None

    @rule(which=BOTH, lose=st.sampled_from([None, "request", "answer"]))
    def loses(self, which: int, lose: str | None) -> None:
        self.devices[which].lose = lose

    @rule(which=BOTH)
    def asks(self, which: int) -> None:
        if self.devices[which].own is None:
            self.devices[which].ask()

    @rule(which=BOTH)
    def begins(self, which: int) -> None:
        self.devices[which].begin()

    @rule(which=BOTH)
    def ends(self, which: int) -> None:
        self.devices[which].end()

    @rule(which=BOTH)
    def agrees(self, which: int) -> None:
        self.devices[which].begin()
        self.devices[which].end()

    @rule(which=BOTH)
    def uses(self, which: int) -> None:
        self.devices[which].use()

    @rule(which=BOTH)
    def reboots(self, which: int) -> None:
        self.devices[which].reboot()

    @rule()
    def the_gateway_starts_again(self) -> None:
        self.office.restart()

    @invariant()
    def one_key_is_taken_and_never_another(self) -> None:
        ((key, secret),) = self.office.database.rows("SELECT public_key, secret FROM enrolment")
        assert self.key in {None, key}
        self.key = key
        assert key in {None, *(each.recruit.der for each in self.devices)}
        winners = [each for each in self.devices if each.own is not None or each.new is not None]
        assert all(each.recruit.der == key for each in winners)
        if any(each.own is not None for each in self.devices):
            assert secret is None

    def teardown(self) -> None:
        for each in self.devices:
            each.lose = None
        first, other = sorted(self.devices, key=lambda each: each.recruit.der != self.key)
        # While the secret lives, the other device is told; afterwards nobody answers it.
        ((secret,),) = self.office.database.rows("SELECT secret FROM enrolment")
        if secret is not None and self.key is not None:
            assert other.recruit.ask() == OTHER_KEY
        assert first.settle()
        assert other.own is None
        assert other.new is None
        # The one-time secret is dead for both.
        assert [each.recruit.ask() for each in self.devices] == [None, None]
        self.office.database.close()
        shutil.rmtree(self.place)


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
