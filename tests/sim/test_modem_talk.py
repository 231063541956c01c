from bondmate_sim.modem_at import Command
from bondmate_sim.modem_body import LATER, OK, Answer, Body, Outcome, Prompt, Setup
from bondmate_sim.modem_effects import Say
from bondmate_sim.modem_talk import Talk


class Scene:
    """A conversation in which +L ends later and +P wants data."""

    def __init__(self) -> None:
        self.body = Body(Setup(echo=False))
        self.obeyed: list[str] = []
        self.data: list[bytes | None] = []
        self.talk = Talk(self.body, self._obey)

    def _obey(self, command: Command) -> Outcome | None:
        self.obeyed.append(command.name)
        match command.name:
            case "+L":
                return LATER
            case "+P":
                return Prompt(int(command.text) if command.text else None, self._take)
            case "+I":
                return Answer(["one", b"two"], then=["+AFTER"])
            case "+U":
                return None
            case _:
                return OK

    def _take(self, octets: bytes | None) -> Outcome:
        self.data.append(octets)
        return OK

    def hear(self, octets: bytes) -> bytes:
        self.talk.hear(octets)
        said = b"".join(effect.octets for effect in self.body.effects if isinstance(effect, Say))
        self.body.effects.clear()
        return said


def test_information_stands_between_line_ends_before_the_result() -> None:
    assert Scene().hear(b"AT+I\r") == b"\r\none\r\ntwo\r\n\r\nOK\r\n\r\n+AFTER\r\n"


def test_what_is_heard_while_a_command_runs_waits() -> None:
    scene = Scene()
    assert scene.hear(b"AT+L;+A\rAT+B\r") == b""
    assert scene.obeyed == ["+L"]
    scene.body.finish(OK)
    assert scene.hear(b"") == b"\r\nOK\r\n\r\nOK\r\n"
    assert scene.obeyed == ["+L", "+A", "+B"]


def test_data_end_by_count_by_ctrl_z_or_not_at_all() -> None:
    scene = Scene()
    assert scene.hear(b"AT+P=3\r\x1a\x1b\r") == b"\r\n> \r\nOK\r\n"
    assert scene.hear(b"AT+P\rab\x1a") == b"\r\n> \r\nOK\r\n"
    assert scene.hear(b"AT+P\rab\x1b") == b"\r\n> \r\nOK\r\n"
    assert scene.data == [b"\x1a\x1b\r", b"ab", None]


def test_a_cut_line_forgets_what_was_begun() -> None:
    scene = Scene()
    scene.hear(b"AT+P=100\rab")
    scene.talk.break_off()
    assert scene.hear(b"AT\r") == b"\r\nOK\r\n"
    scene.hear(b"AT+NO")
    scene.talk.break_off()
    scene.hear(b"AT+A\r")
    assert scene.obeyed == ["+P", "+A"]
    assert scene.data == []


def test_what_nobody_obeys_is_an_error_and_ends_the_line() -> None:
    scene = Scene()
    scene.body.detail = 1
    assert scene.hear(b"AT+U;+A\r") == b"\r\n+CME ERROR: 4\r\n"
    assert scene.obeyed == ["+U"]
