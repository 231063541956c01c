"""One update after another: fetched, installed, started, held to be good or fallen back from, and answered for.

Each step begins with what the daemon says now. What outlives a restart is one small file, written before RAUC begins.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from bondmate.durable import replace_file
from bondmate.updater import fetching
from bondmate.updater.fetching import BrokenOffError, HopelessError, NoWayError, StoppedError
from bondmate.updater.order import Order, Situation
from bondmate.updater.silence import SILENCE_S, Silence
from bondmate.updater.slots import BusyError, RefusedError, Slots

log = logging.getLogger(__name__)

IDLE_S, SOON_S = 30.0, 2.0
"""How soon it looks again; sooner while something is near, and until the slot that runs is called good."""
HEALTHY_S = 600.0
"""A new slot has so long to be well: a cold receiver and a slow network are no reason to fall back."""
FIRST_WAIT_S, LONGEST_WAIT_S = 10.0, 900.0
"""Between attempts to fetch, each twice as long as the one before."""
TRIES = 40
"""Attempts in which the server was reached and gave nothing, one after another: with the waits above half a day."""
TEXT_OCTETS = 160
"""Of what is told (docs/bondmate.cddl, message-state)."""

_FILE = "installed.json"


class Daemon(Protocol):
    """The daemon, as the updater sees it."""

    def ask(self) -> Situation | None:
        """What there is to do; None while it does not answer."""

    def begin(self, number: int, software: str) -> bool:
        """It is about to be installed; whether the daemon knows now, and wants it."""

    def tell(self, number: int, done: bool, text: str) -> bool:
        """What became of an order; whether the daemon knows it now."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What is in the other slot, or may be, since which boot, and how it is tried when it is started."""

    number: int
    software: str
    boot: str
    reached: bool
    """The gateway was reached before it: then it has to be reached by the new software too."""
    written: bool = False
    """RAUC said that it is there. It may be before that: RAUC itself has the next start take it."""
    good: bool = False
    """It was marked as good: what is left is to tell."""


def wait_for_card(
    daemon: Daemon, slots: Slots, folder: Path, now: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """Return when `folder` is there. Without it no slot is called good, and after ten minutes a restart is asked for.

    Without its data a device is a dead button, which the next start may mend: U-Boot counts it as a try of this slot,
    so that the other one has its turn. A device that is armed all the same goes on. Raises OSError.
    """
    deadline_s, silence = now() + HEALTHY_S, Silence(now)
    if not folder.is_dir():
        log.error("%s is not there: is /data mounted? journalctl -b -u data.mount", folder)
    while not folder.is_dir():
        if now() >= deadline_s - SILENCE_S:
            situation = daemon.ask()
            armed = situation is not None and situation.unwell is None
            if silence.allows_restart(situation) and not armed and now() >= deadline_s:
                log.error("restarting: without /data this device is not armed")
                slots.restart()
        sleep(SOON_S)


class Errand:
    """All that the updater does, a step at a time. Times are monotonic, in seconds."""

    def __init__(
        self, daemon: Daemon, slots: Slots, folder: Path, software: str, boot: str, now: Callable[[], float]
    ) -> None:
        """`software` runs, in the boot of this id; what is kept lies in `folder`."""
        self._daemon = daemon
        self._slots = slots
        self._folder = folder
        self._software = software
        self._boot = boot
        self._now = now
        self._deadline_s, self._silence = now() + HEALTHY_S, Silence(now)
        self._installed = self._load()
        self._is_good = False
        self._failures = self._vain = 0
        """Attempts that brought nothing, one after another; those of them in which the server was reached."""
        self._next_try_s = now()

    def step(self) -> float:
        """Do what can be done now, and return how many seconds to wait."""
        wait_s = self._step()
        # a start has cost the slot a try, which it gets back when it is good: without them it would be fallen back from
        return wait_s if self._is_good or self._now() >= self._deadline_s else min(wait_s, SOON_S)

    def _step(self) -> float:
        situation, installed = self._daemon.ask(), self._installed
        started = installed if installed is not None and installed.boot != self._boot else None
        if started is not None and started.software == self._software and not started.good:
            return self._try(started, situation)
        if situation is None:
            return IDLE_S
        if not self._is_good:
            # it was good before, and the daemon lives: the tries that were used up come back
            self._mark_good()
        if started is not None:
            self._settle(started)
            return SOON_S
        order = situation.order
        if installed is not None and order is not None and order.number != installed.number:
            # what was installed waits for any start, which would run it untried once this file is gone
            self._slots.mark_active()
            self._keep(None)
        elif installed is not None and installed.written:
            if order is None:  # the device forgot it: whatever restarts it one day, the slot is tried then
                return IDLE_S
            if situation.may_restart:
                log.info("restarting into %s", installed.software)
                self._slots.restart()
            return SOON_S
        self._clean(order)
        return IDLE_S if order is None else self._carry_out(order, situation)

    # --- before the restart ----------------------------------------------------------------------

    def _carry_out(self, order: Order, situation: Situation) -> float:
        part, bundle = self._part(order), self._bundle(order)
        if order.software == self._software:
            self._tell(order.number, True, self._software)
            return IDLE_S
        if not bundle.exists():
            if not situation.may_fetch or self._now() < self._next_try_s:
                return IDLE_S
            if not self._fetch(order, part, bundle):
                return SOON_S
            return 0.0  # the time for the next step may have gone
        return self._install(order, bundle, situation.reached) if situation.may_install else IDLE_S

    def _install(self, order: Order, bundle: Path, reached: bool) -> float:
        installed = Installed(order.number, order.software, self._boot, reached)
        try:
            self._slots.check(bundle, order)
            if not self._daemon.begin(order.number, order.software):
                return IDLE_S
            log.info("installing %s", order.software)
            self._keep(installed)
            self._slots.install(bundle)
        except BusyError:
            return IDLE_S
        except RefusedError as error:
            # the file stays: where RAUC's answer was not waited for, it may have the next start take it yet
            self._give_up(order, str(error))
            return IDLE_S
        log.info("%s is installed, and waits for a restart", order.software)
        self._keep(replace(installed, written=True))
        bundle.unlink()
        return 0.0

    def _fetch(self, order: Order, part: Path, bundle: Path) -> bool:
        had = part.stat().st_size if part.exists() else 0
        try:
            fetching.fetch(order, part, self._may_go_on)
        except StoppedError:
            log.info("stopped fetching %s, for now", order.software)
        except BrokenOffError as error:
            has = part.stat().st_size if part.exists() else 0
            self._failures = 0 if has > had else self._failures + 1
            self._vain = 0 if has > had else self._vain + (not isinstance(error, NoWayError))
            wait_s = min(FIRST_WAIT_S * 2 ** min(self._failures, 10), LONGEST_WAIT_S)
            self._next_try_s = self._now() + wait_s
            log.info("%s; %d octets are here, the next try is in %.0f s", error, has, wait_s)
            if self._vain >= TRIES:
                self._give_up(order, f"nothing came in {TRIES} attempts: {error}")
        except (HopelessError, OSError) as error:
            self._give_up(order, str(error))
        else:
            log.info("%s is here", order.software)
            part.rename(bundle)
            return True
        return False

    def _may_go_on(self) -> bool:
        situation = self._daemon.ask()
        return situation is not None and situation.may_fetch

    def _give_up(self, order: Order, why: str) -> None:
        """Tell it; until the daemon knows, the same would fail again, so it waits. The next order waits for nothing."""
        log.warning("%s is not installed: %s", order.software, why)
        self._failures = self._vain = 0
        told = self._tell(order.number, False, why)
        self._next_try_s = self._now() + (0.0 if told else LONGEST_WAIT_S)

    # --- after the restart -----------------------------------------------------------------------

    def _try(self, installed: Installed, situation: Situation | None) -> float:
        """The new software runs: mark it as good, fall back from it, or wait."""
        may_restart = self._silence.allows_restart(situation)
        if situation is not None and self._is_well(installed, situation):
            if self._mark_good():
                self._keep(replace(installed, good=True))
                return 0.0
        elif may_restart and self._now() >= self._deadline_s:
            why = "the daemon does not answer" if situation is None else situation.unwell or "no gateway was reached"
            log.error("%s does not prove good (%s): falling back", self._software, why)
            self._slots.mark_bad()
            self._slots.restart()
        return SOON_S

    def _is_well(self, installed: Installed, situation: Situation) -> bool:
        return situation.unwell is None and (situation.reached or not installed.reached)

    def _settle(self, started: Installed) -> None:
        done = started.software == self._software
        if not (done or started.written):  # the power went before it was there: it is installed anew
            self._keep(None)
            return
        text = self._software if done else f"{self._software} runs: {started.software} did not prove good"
        if self._tell(started.number, done, text):
            self._keep(None)

    def _mark_good(self) -> bool:
        try:
            self._slots.mark_good()
        except RefusedError as error:
            log.warning("%s", error)
            return False
        self._is_good = True
        return True

    # --- what is kept ----------------------------------------------------------------------------

    def _tell(self, number: int, done: bool, text: str) -> bool:
        return self._daemon.tell(number, done, text.encode()[:TEXT_OCTETS].decode(errors="ignore"))

    def _part(self, order: Order) -> Path:
        return self._folder / f"{order.sha256[:32]}.part"

    def _bundle(self, order: Order) -> Path:
        """RAUC takes what has this suffix."""
        return self._folder / f"{order.sha256[:32]}.raucb"

    def _clean(self, order: Order | None) -> None:
        """Of what was ordered before nothing is needed any more."""
        kept = set() if order is None else {self._part(order), self._bundle(order)}
        for pattern in ("*.part", "*.raucb"):
            for file in set(self._folder.glob(pattern)) - kept:
                file.unlink()

    def _keep(self, installed: Installed | None) -> None:
        self._installed = installed
        if installed is None:
            (self._folder / _FILE).unlink(missing_ok=True)
        else:
            replace_file(self._folder / _FILE, json.dumps(asdict(installed)).encode())

    def _load(self) -> Installed | None:
        try:
            said = json.loads((self._folder / _FILE).read_bytes())
            return Installed(**said)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            log.error("%s makes no sense: %s", self._folder / _FILE, error)  # noqa: TRY400 - no bug of ours
            (self._folder / _FILE).unlink()
            return None
