"""Who is let in: a table of what a browser may send, and the token with its limit."""

import pytest

from bondmate.console.gate import TRIES, TRIES_S, Gate

OWN = "127.0.0.1:8480"
GET = {"Host": OWN}
WRITE = {"Host": OWN, "Origin": f"http://{OWN}", "X-BondMate": "1"}


def gate() -> Gate:
    return Gate(OWN, "right")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", GET),
        ("GET", GET | {"Sec-Fetch-Site": "same-origin"}),
        ("GET", GET | {"Origin": f"http://{OWN}"}),
        ("POST", WRITE),
        ("PUT", WRITE | {"Sec-Fetch-Site": "same-origin"}),
    ],
)
def test_the_own_page_may(method: str, headers: dict[str, str]) -> None:
    assert gate().refuse(method, headers, is_shell=False) is None


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 421),
        ("GET", {"Host": "evil.example:8480"}, 421),
        ("GET", {"Host": "127.0.0.1"}, 421),
        ("GET", {"Host": "localhost:8480"}, 421),
        ("POST", WRITE | {"Host": "evil.example"}, 421),
        ("GET", GET | {"Origin": "http://evil.example"}, 403),
        ("GET", GET | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", GET | {"Sec-Fetch-Site": "same-site"}, 403),
        ("GET", GET | {"Sec-Fetch-Site": "none"}, 403),
        ("POST", {"Host": OWN, "X-BondMate": "1"}, 403),
        ("POST", WRITE | {"Origin": "null"}, 403),
        ("POST", WRITE | {"Origin": "http://127.0.0.1:8481"}, 403),
        ("POST", WRITE | {"Origin": f"https://{OWN}"}, 403),
        ("POST", WRITE | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", {"Host": OWN, "Origin": f"http://{OWN}"}, 403),
        ("DELETE", GET, 403),
        ("HEAD", GET, 403),
    ],
)
def test_nobody_else_may(method: str, headers: dict[str, str], status: int) -> None:
    refusal = gate().refuse(method, headers, is_shell=False)
    assert refusal is not None
    assert refusal.status == status


def test_the_bare_page_is_for_anybody_who_knows_the_address_and_no_other_name_for_it() -> None:
    assert gate().refuse("GET", GET | {"Sec-Fetch-Site": "cross-site"}, is_shell=True) is None
    assert gate().refuse("GET", {"Host": "evil.example"}, is_shell=True) is not None
    assert gate().refuse("POST", GET, is_shell=True) is not None


def test_the_cookie_follows_from_the_token_and_is_not_the_token() -> None:
    assert gate().cookie == gate().cookie != Gate(OWN, "other").cookie
    assert "right" not in gate().cookie
    assert gate().knows(gate().cookie)
    for other in (None, "", "right", Gate(OWN, "other").cookie, gate().cookie[:-1], "\ud800"):
        assert not gate().knows(other)


def test_after_so_many_wrong_tokens_only_the_right_one_is_let_in_for_a_while() -> None:
    made = gate()
    for second in range(TRIES):
        assert made.wait_s(second) == 0
        refusal = made.enter("wrong", second)
        assert refusal is not None
        assert refusal.status == 401
    refusal = made.enter("wrong", TRIES)
    assert refusal is not None
    assert refusal.status == 429
    assert made.wait_s(TRIES) == TRIES_S - TRIES
    assert made.enter("right", TRIES) is None


def test_the_right_token_counts_as_no_try() -> None:
    made = gate()
    assert all(made.enter("right", 0) is None for _ in range(10 * TRIES))


def test_a_flood_that_is_refused_does_not_make_the_wait_longer() -> None:
    made = gate()
    for _ in range(TRIES):
        made.enter("wrong", 0)
    for second in range(int(TRIES_S)):
        made.enter("wrong", second)
    assert made.wait_s(TRIES_S) == 0
