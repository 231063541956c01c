from bondmate_sim.modem_body import MAX_DEFERRED, Body, Setup
from bondmate_sim.modem_effects import Say


def said(body: Body) -> bytes:
    octets = b"".join(effect.octets for effect in body.effects if isinstance(effect, Say))
    body.effects.clear()
    return octets


def test_what_is_planned_happens_in_its_order_and_at_its_time() -> None:
    body, happened = Body(Setup()), list[tuple[str, float]]()

    def plan(name: str, delay_s: float) -> None:
        body.after(delay_s, lambda: happened.append((name, body.now_s)))

    plan("late", 2.0)
    plan("first", 1.0)
    plan("second", 1.0)
    body.after(1.5, lambda: plan("planned then", 0.1))
    assert body.due_s == 1.0
    body.pass_time(0.9)
    assert happened == []
    body.pass_time(10.0)
    assert happened == [("first", 1.0), ("second", 1.0), ("planned then", 1.6), ("late", 2.0)]
    assert not body.due_s
    assert body.now_s == 10.0


def test_a_restart_forgets_what_is_planned_and_keeps_what_is_saved() -> None:
    body = Body(Setup())
    body.after(1.0, lambda: body.report("never"))
    body.apns[2] = ("IP", "kept")
    body.detail, body.echo, body.mute = 2, False, True
    body.restart()
    body.pass_time(5.0)
    assert said(body) == b""
    assert (body.detail, body.echo, body.mute, body.apns[2]) == (0, True, False, ("IP", "kept"))


def test_reports_wait_for_the_end_of_data_entry_and_are_bounded() -> None:
    body = Body(Setup())
    body.entering_data = True
    for number in range(MAX_DEFERRED + 1):
        body.report(f"+N: {number}")
    assert said(body) == b""
    body.entering_data = False
    body.release()
    octets = said(body)
    assert octets.startswith(b"\r\n+N: 1\r\n\r\n+N: 2\r\n")
    assert octets.endswith(b"+N: %d\r\n" % MAX_DEFERRED)


def test_a_mute_modem_says_nothing() -> None:
    body = Body(Setup())
    body.mute = True
    body.report("+N: 1")
    body.say(b"OK")
    assert said(body) == b""


def test_words_in_ucs2_and_back() -> None:
    body = Body(Setup())
    assert (body.text("+49"), body.words("+49")) == ("+49", "+49")
    body.charset = "UCS2"
    assert body.text("+4\u00df") == "002B003400DF"
    assert body.words("002B003400DF") == "+4\u00df"
    assert body.words("SM") == "SM"
