"""Enrolling against a registrar that was written from the specification: lost answers, refusals, power cuts."""

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import cbor2
import pytest

from bondmate import credentials, edhoc, enrolling, identity
from bondmate.core import enrolment as core
from bondmate.cose import KeySigner, sign1
from bondmate.enrolling import Enroller
from bondmate.enrolment_file import fingerprint, parse
from bondmate.errors import RemoteError
from tests.enrolment_desk import DEVICE, KID, Force, Registrar, Wire, new_key
from tests.eventually import eventually

FORCE = Force()
FILE = parse(FORCE.file(), FORCE.key.public_key())
ENDS_S = 30.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits are core/enrolment's, and have tests of their own."""
    monkeypatch.setattr(core, "FIRST_RETRY_S", 0.002)
    monkeypatch.setattr(core, "APPROVAL_S", 0.002)


class Desk:
    """A device, as far as enrolling goes; each `enrol` is one more start of it."""

    def __init__(self, folder: Path, *wires: Wire) -> None:
        self.folder = folder
        self.wires = wires
        self.said: list[str] = []

    def enroller(self) -> Enroller:
        keys = identity.prepare(self.folder, FILE)
        return Enroller(
            FILE, keys, self.wires, edhoc.Initiator, self.folder, lambda text, next_step: self.said.append(text)
        )

    def enrol(self) -> None:
        async def run() -> None:
            async with asyncio.timeout(ENDS_S):
                await self.enroller().run()

        asyncio.run(run())

    def until(self, words: str) -> None:
        """Run until it says these words."""

        async def run() -> None:
            task = asyncio.ensure_future(self.enroller().run())
            await eventually(lambda: any(words in text for text in self.said), words, ENDS_S)
            task.cancel()

        asyncio.run(run())

    def keys(self) -> dict[str, bytes]:
        known = credentials.load(self.folder)
        return {name: each.kid for name, each in known.bearers.items()}


def kids(registrar: Registrar) -> dict[str, bytes]:
    assert registrar.fresh is not None
    return {name: octets for name, octets in registrar.fresh.items() if name != "channel"}


def test_a_device_is_enrolled_in_three_requests(tmp_path: Path) -> None:
    registrar = Registrar(FORCE)
    desk = Desk(tmp_path, Wire(registrar))
    desk.enrol()
    assert registrar.requests == ["e", "k1", "k3"]
    assert desk.keys() == kids(registrar)


@pytest.mark.parametrize("what", ["lost", "unanswered"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_whichever_message_is_lost_it_is_enrolled_with_the_same_key(tmp_path: Path, what: str, number: int) -> None:
    registrar = Registrar(FORCE)
    wire = Wire(registrar)
    wire.fails[number] = what
    desk = Desk(tmp_path, wire)
    desk.enrol()
    assert desk.keys() == kids(registrar), "of the last exchange, which replaced the one before"


def test_the_next_bearer_is_taken_where_the_first_does_not_answer(tmp_path: Path) -> None:
    registrar = Registrar(FORCE)
    ip, lte = Wire(registrar), Wire(registrar, "lte")
    ip.fails = dict.fromkeys(range(1, 100), "lost")
    desk = Desk(tmp_path, ip, lte)
    desk.enrol()
    assert (ip.posted, lte.posted) == (1, 3)


def test_it_waits_for_approval_and_shows_its_fingerprint(tmp_path: Path) -> None:
    registrar = Registrar(FORCE, verdict=1)
    desk = Desk(tmp_path, Wire(registrar))
    shown = fingerprint(identity.prepare(tmp_path, FILE).signing.public_key())
    desk.until(f"waiting for approval at the gateway: fingerprint {shown} (as the registrar says)")
    assert not (tmp_path / credentials.CREDENTIALS_FILE).exists()
    registrar.verdict = 0
    desk.enrol()
    assert desk.keys() == kids(registrar)


@pytest.mark.parametrize(("verdict", "words"), [(2, "another key was taken"), (3, "has expired, or was withdrawn")])
def test_a_refusal_is_said_and_nothing_more_is_asked(tmp_path: Path, verdict: int, words: str) -> None:
    registrar = Registrar(FORCE, verdict)
    desk = Desk(tmp_path, Wire(registrar))
    desk.until("refused: ")
    assert words in desk.said[-1]
    assert registrar.requests == ["e"]
    assert not (tmp_path / credentials.CREDENTIALS_FILE).exists()


def test_who_uses_the_file_second_is_refused(tmp_path: Path) -> None:
    registrar = Registrar(FORCE)
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    Desk(tmp_path / "first", Wire(registrar)).enrol()
    desk = Desk(tmp_path / "second", Wire(registrar))
    desk.until("refused: another key was taken")


def forged(**changes: Any) -> Callable[[int, bytes], bytes]:
    """In the place of the first answer one that differs in this from what the gateway would sign."""

    def change(number: int, answer: bytes) -> bytes:
        if number != 1:
            return answer
        payload = changes.get("payload", [1, 0, ""])
        aad = changes.get("aad", ["bondmate enrolled 1", DEVICE, bytes(6), bytes(16)])
        return sign1(cbor2.dumps(payload), cbor2.dumps(aad), KeySigner(changes.get("key", FORCE.gateway_key)))

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(forged(), id="an answer to another request"),
        pytest.param(forged(key=new_key()), id="another key"),
        pytest.param(lambda number, answer: b"" if number == 1 else answer, id="nothing"),
        pytest.param(lambda number, answer: bytes(1200) if number == 1 else answer, id="garbage"),
        pytest.param(lambda number, answer: b"\x01" if number == 2 else answer, id="no message 2"),
        pytest.param(lambda number, answer: cbor2.dumps(bytes(513)) if number == 2 else answer, id="a long message 2"),
        pytest.param(lambda number, answer: cbor2.dumps(answer[5:]) if number == 2 else answer, id="a false message 2"),
        pytest.param(lambda number, answer: cbor2.dumps(b"\x48nonsense") if number == 3 else answer, id="a false 4"),
    ],
)
def test_an_answer_that_proves_nothing_changes_nothing(tmp_path: Path, change: Callable[[int, bytes], bytes]) -> None:
    registrar = Registrar(FORCE)
    wire = Wire(registrar)
    wire.changes = change
    desk = Desk(tmp_path, wire)
    desk.enrol()
    assert wire.posted > 3, "it asked again"
    assert desk.keys() == kids(registrar)


@pytest.mark.parametrize(
    "payload", [[2, 0, ""], [1, 4, ""], [1, -1, ""], [1, 0], [1, "0", ""], [1, 0, "x" * 121], "0", [1, 0, b""]]
)
def test_a_signed_answer_that_is_no_verdict_is_none(payload: Any) -> None:
    with pytest.raises(RemoteError):
        enrolling._verdict(payload)


def test_what_the_gateway_says_is_shown_without_what_would_move_a_terminals_cursor() -> None:
    assert enrolling._verdict([1, 1, "call \x1b[2Jthe desk", "later"]) == (core.Verdict.WAITING, "call [2Jthe desk")


def test_a_disk_that_does_not_take_the_keys_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registrar = Registrar(FORCE)
    desk = Desk(tmp_path, Wire(registrar))
    real, left = identity.commit, [2]

    def full(*arguments: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(28, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(identity, "commit", full)
    desk.enrol()
    assert len([text for text in desk.said if "No space left on device" in text]) == 2
    assert desk.keys() == kids(registrar)


# --- power cuts ------------------------------------------------------------------------------------------


class PowerCut(BaseException):
    """Nothing runs behind it: nothing of the product catches it."""


class Cutter:
    """Cuts the power before or behind the nth step that is seen from outside: on the disk, or on the wire."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.at = at
        self.steps: list[str] = []
        for where, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Wire, "post"), (os, "open")):
            monkeypatch.setattr(where, name, self._cutting(name, getattr(where, name)))

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) == self.at:
            raise PowerCut(name)

    def _cutting(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.step(f"before {name}")
            result = real(*arguments, **options)
            if isinstance(result, Coroutine):
                return self._awaited(name, result)
            self.step(f"behind {name}")
            return result

        return call

    async def _awaited(self, name: str, result: Coroutine[Any, Any, Any]) -> Any:
        answer = await result
        self.step(f"behind {name}")
        return answer


def life(desk: Desk, boot: Path) -> None:
    """What the app does, one start: enrol where there are no credentials, use them, erase what led there."""
    if not (desk.folder / credentials.CREDENTIALS_FILE).exists():
        desk.enrol()
    registrar = desk.wires[0].registrar
    # the first message under the new keys: the gateway takes it, or the device is stranded
    assert desk.keys() == kids(registrar)
    identity.forget(desk.folder, boot)


def test_wherever_the_power_goes_the_device_is_enrolled_at_the_next_start(tmp_path: Path) -> None:
    cuts: list[str] = []
    steps: list[str] = []
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        boot, _ = FORCE.put(folder / "boot")
        desk = Desk(folder, Wire(Registrar(FORCE)))
        with pytest.MonkeyPatch.context() as patches:
            cutter = Cutter(patches, at)
            steps = cutter.steps
            try:
                life(desk, boot)
            except PowerCut as cut:
                cuts.append(str(cut))
            except BaseExceptionGroup:
                raise AssertionError("a cut must not be wrapped") from None
        if len(cuts) < at:
            break
        registrar = desk.wires[0].registrar
        key = registrar.taken
        life(desk, boot)
        assert key in (None, registrar.taken), "a gateway that knew the key was not shown another one"
        assert not boot.exists()
        assert not identity.is_pending(folder)
    assert {"behind post", "before replace", "behind replace", "before fsync", "behind unlink"} <= set(cuts)
    assert len(cuts) == len(steps)


def test_a_device_that_makes_its_key_anew_at_each_start_is_stranded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what the pending file is for."""
    registrar = Registrar(FORCE)
    wire = Wire(registrar)
    wire.fails = {1: "unanswered", 2: "lost"}
    desk = Desk(tmp_path, wire)
    desk.until("unanswered")
    monkeypatch.setattr(identity, "_pending", lambda path, file: None)
    desk.until("refused: another key was taken")


def test_the_requests_of_an_enrolment_fit_a_modems_datagram(tmp_path: Path) -> None:
    registrar = Registrar(FORCE)
    wire, sizes = Wire(registrar), list[int]()
    real = wire.post

    async def post(path: str, payload: bytes) -> bytes:
        sizes.append(len(payload))
        return await real(path, payload)

    wire.post = post  # type: ignore[method-assign]
    Desk(tmp_path, wire).enrol()
    assert max(sizes) < 512
    assert FILE.kid == KID
