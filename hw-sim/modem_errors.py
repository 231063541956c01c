"""The ways in which a modem says no, and the names that 3GPP gives to them. It holds no logic but their wording."""

from bondmate_sim.modem_at import NumberError

CME = {
    3: "operation not allowed",
    4: "operation not supported",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    16: "incorrect password",
    20: "memory full",
    21: "invalid index",
    30: "no network service",
    50: "Incorrect parameters",
    100: "unknown",
    107: "GPRS services not allowed",
    148: "unspecified GPRS error",
}
"""3GPP TS 27.007, clause 9.2."""
CMS = {
    21: "Short message transfer rejected",
    38: "Network out of order",
    302: "operation not allowed",
    303: "operation not supported",
    304: "invalid PDU mode parameter",
    305: "invalid text mode parameter",
    310: "(U)SIM not inserted",
    311: "(U)SIM PIN required",
    316: "(U)SIM PUK required",
    321: "invalid memory index",
    322: "memory full",
    330: "SMSC address unknown",
    331: "no network service",
    332: "network timeout",
    340: "no +CNMA acknowledgement expected",
    500: "unknown error",
}
"""3GPP TS 27.005, clause 3.2.5; below 128, the causes of 3GPP TS 24.011, annex E-2."""


class FailureError(Exception):
    """The command fails with a bare ERROR, whatever AT+CMEE says; `lines` come before it."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def verdict(self, detail: int) -> str:  # noqa: ARG002 - the others look at it
        """The final result code; `detail` is what AT+CMEE set: 0 none, 1 numbers, 2 words."""
        return "ERROR"


class CmeError(FailureError):
    """The equipment or the network says no (27.007, clause 9.2)."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def verdict(self, detail: int) -> str:
        return "ERROR" if detail == 0 else f"+CME ERROR: {self.code if detail == 1 else CME[self.code]}"


class CmsError(FailureError):
    """The message service says no (27.005, clause 3.2.5); it says why whatever AT+CMEE is."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def verdict(self, detail: int) -> str:
        return f"+CMS ERROR: {CMS[self.code] if detail == 2 else self.code}"


Refusal = FailureError | NumberError
