import asyncio
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate.api.idempotency import CAPACITY, Answers, MismatchError
from bondmate.errors import StoreError
from tests.api.served import asked, console, exchange, served, set_pin


def test_the_first_answer_is_kept_for_the_same_request_alone() -> None:
    answers: Answers[int] = Answers()
    assert answers.find(("k", "POST", "/alert"), b"{}") is None
    answers.keep(("k", "POST", "/alert"), b"{}", 1)
    assert answers.find(("k", "POST", "/alert"), b"{}") == 1
    assert answers.find(("k", "POST", "/duty"), b"{}") is None
    with pytest.raises(MismatchError):
        answers.find(("k", "POST", "/alert"), b"{ }")
    answers.forget(("k", "POST", "/alert"))
    assert answers.find(("k", "POST", "/alert"), b"{ }") is None


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=100))
def test_it_is_bounded_and_has_the_newest(steps: list[tuple[int, bool]]) -> None:
    answers, model = Answers[int](4), dict[int, int]()
    for at, (key, forget) in enumerate(steps):
        if forget:
            answers.forget((str(key),))
            model.pop(key, None)
        elif answers.find((str(key),), b"") is None:
            answers.keep((str(key),), b"", at)
            model[key] = at
            if len(model) > 4:
                del model[next(iter(model))]
        assert {each: answers.find((str(each),), b"") for each in model} == model
        assert len(answers) == len(model)


def test_no_body_is_kept_and_its_print_is_another_s_in_another_process() -> None:
    one, other = Answers[int](), Answers[int]()
    for answers in (one, other):
        answers.keep(("k",), b'{"pin": "1234"}', 1)
    assert b"1234" not in repr(vars(one)).encode()
    assert one._kept[("k",)][0] != other._kept[("k",)][0]


def test_a_write_with_the_same_key_is_done_once(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            first = await asked(there, "POST", "/alert", b"{}", Idempotency_Key="press-1")
            assert first[0] == 201
            assert await asked(there, "POST", "/alert", b"{}", Idempotency_Key="press-1") == first
            second = await asked(there, "POST", "/alert", b"{}", Idempotency_Key="press-2")
            assert second[1]["alert_id"] != first[1]["alert_id"], "the control"
            code, answer = await asked(there, "POST", "/alert", b'{"kind": "medical"}', Idempotency_Key="press-1")
            assert code == 422
            assert "another request" in answer["error"]
            assert (await asked(there, "POST", "/alert", b"{}", Idempotency_Key="no spaces"))[0] == 400
            assert (await asked(there, "POST", "/alert", b"{}", Idempotency_Key="k" * 65))[0] == 400

    asyncio.run(main())


def test_the_same_key_at_the_same_time_is_done_once(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            answers = await asyncio.gather(
                *(
                    asyncio.to_thread(exchange, there.socket, "POST", "/alert", b"{}", Idempotency_Key="one")
                    for _ in range(8)
                )
            )
            assert len({answer["alert_id"] for _, answer in answers}) == 1

    asyncio.run(main())


def test_a_wrong_pin_that_is_sent_twice_under_one_key_is_one_try(run: Path) -> None:
    async def main() -> None:
        set_pin(run, "1234", None)
        async with served(run) as there:
            await console(there, "POST", "/alert")
            for _ in range(3):
                refused = await console(there, "POST", "/alert/cancel", {"pin": "0000"}, Idempotency_Key="once")
                assert (refused[0], refused[1]["tries_left"]) == (403, 4)
            refused = await console(there, "POST", "/alert/cancel", {"pin": "0000"}, Idempotency_Key="twice")
            assert refused[1]["tries_left"] == 3

    asyncio.run(main())


def test_what_could_not_be_done_now_is_tried_again(run: Path) -> None:
    async def main() -> None:
        async with served(run) as there:
            await there.post()
            with mock.patch.object(there.outbox, "messages", side_effect=StoreError("no disk")):
                code, answer = await asked(there, "POST", "/inbox/1/read", Idempotency_Key="r")
            assert (code, answer) == (503, {"error": "the store does not work: no disk"})
            assert (await asked(there, "POST", "/inbox/1/read", Idempotency_Key="r"))[0] == 200

    asyncio.run(main())


def test_of_many_keys_the_last_are_known(run: Path) -> None:
    assert CAPACITY == 256

    async def main() -> None:
        async with served(run) as there:
            first = await asked(there, "POST", "/checkin", b'{"action": "end"}', Idempotency_Key="k0")
            assert first[0] == 409, "refusals are kept too"
            there.device.check_in.begin(60)
            assert await asked(there, "POST", "/checkin", b'{"action": "end"}', Idempotency_Key="k0") == first
            assert there.device.check_in.to_json(0.0) is not None

    asyncio.run(main())
