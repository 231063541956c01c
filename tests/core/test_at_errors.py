"""The names of errors, by TS 27.007 and TS 27.005."""

import pytest

from bondmate.core.at_errors import CME, CMS, explain


@pytest.mark.parametrize(
    ("kind", "said", "number", "name"),
    [
        ("CME", "3", 3, "operation not allowed"),
        ("CME", "12", 12, "SIM PUK required"),
        ("CME", "operation not allowed", 3, "operation not allowed"),
        ("CME", "SIM PIN required", 11, "SIM PIN required"),
        ("CME", "30", 30, "no network service"),
        ("CMS", "38", 38, "network out of order"),
        ("CMS", "208", 208, "(U)SIM SMS storage full"),
        ("CMS", "331", 331, "no network service"),
        ("CMS", "500", 500, "unknown error"),
        ("CMS", "999", 999, "error 999"),
        ("CME", "a maker's own words", None, "a maker's own words"),
        ("CME", "", None, "no reason given"),
        ("CME", "²", None, "²"),
        ("CME", "9" * 400, None, "9" * 400),
    ],
)
def test_errors_have_the_names_of_the_specifications(kind: str, said: str, number: int | None, name: str) -> None:
    assert explain(kind, said) == (number, name)


def test_each_number_of_the_specifications_has_a_name_of_its_table() -> None:
    assert {*range(8), *range(10, 19), *range(20, 28), 30, 31, 32, 100} <= CME.keys()
    assert {300, 301, 302, 303, 304, 305, *range(310, 319), 320, 321, 322, 330, 331, 332, 340, 500} <= CMS.keys()
    assert all(name == name.strip() and name for name in (*CME.values(), *CMS.values()))
