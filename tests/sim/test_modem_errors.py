import pytest

from bondmate_sim.modem_errors import CmeError, CmsError, FailureError

# 3GPP TS 27.007, clause 9.2.1, and 27.005, clause 3.2.5
VERDICTS = [
    (FailureError(), ("ERROR", "ERROR", "ERROR")),
    (CmeError(10), ("ERROR", "+CME ERROR: 10", "+CME ERROR: SIM not inserted")),
    (CmeError(16), ("ERROR", "+CME ERROR: 16", "+CME ERROR: incorrect password")),
    (CmsError(322), ("+CMS ERROR: 322", "+CMS ERROR: 322", "+CMS ERROR: memory full")),
]


@pytest.mark.parametrize(("failure", "verdicts"), VERDICTS)
def test_a_failure_speaks_as_it_was_told(failure: FailureError, verdicts: tuple[str, ...]) -> None:
    assert tuple(failure.verdict(detail) for detail in range(3)) == verdicts
