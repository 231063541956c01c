"""docs/bondmate.cddl as a validator of what stands on the wire.

The only CDDL validator for Python (pycddl 0.6.4, on the Rust crate cddl) takes optional elements at the end of an
array for required ones, sees one side alone of a choice between a range and null, or between numbers in an array, loses
its place behind `.cbor` inside an array, and knows no literal of an empty byte string. So optional elements and choices
are written out here for the data at hand, and the parts of a COSE_Sign1 are validated one by one, each against its own
rule. Of a body it does not see too many entries of a gap, nor a health record's fault that is no text.
"""

import re
from pathlib import Path
from typing import Any

import cbor2
from pycddl import Schema, ValidationError  # type: ignore[import-untyped]

__all__ = [
    "ValidationError",
    "validate_body",
    "validate_enrol_answer",
    "validate_enrol_request",
    "validate_enrolment",
    "validate_message",
    "validate_message_payload",
    "validate_messages",
    "validate_receipt",
    "validate_receipt_payload",
    "validate_record",
    "validate_record_payload",
    "validate_rekey_answer",
    "validate_rekey_request",
]

_TEXT = (Path(__file__).parents[2] / "docs" / "bondmate.cddl").read_text().replace("h''", "bstr .size 0")
_PAYLOAD_TAIL = re.compile(r"^  \? body: any,.*\n  \* any.*\n", re.MULTILINE)
_RECEIPT_TAIL = re.compile(r"(?<=receipt-entry\],\n)  \* any *\n\]", re.MULTILINE)
_NOTE = re.compile(r", \? note: tstr .size \(1\.\.120\)\]")
_MESSAGE_STATE = re.compile(r"^message-state += (\[.*\]) .*\n +/ (\[.*\])", re.MULTILINE)
_REASON = re.compile(r"^  \? reason:", re.MULTILINE)
_MESSAGE_TAIL = re.compile(r"^  body: message-body,\n  \* any.*\n\]", re.MULTILINE)
_STREAM_OR_NULL = re.compile(r"^  stream / null,.*\n  \(?(1\.\.4294967295)\)? / null,.*\n", re.MULTILINE)


def validate_record(tagged: bytes) -> None:
    """Validate a tagged COSE_Sign1 as a record. Raises ValidationError."""
    validate_record_payload(_validate_sign1(tagged))


def validate_record_payload(payload: bytes) -> None:
    """Validate a record's payload. Raises ValidationError."""
    text, found = _PAYLOAD_TAIL.subn("  any,\n" * (len(cbor2.loads(payload)) - 7), _TEXT)
    assert found == 1
    _validate("record-payload", text, payload)


def validate_body(rule: str, body: bytes) -> None:
    """Validate the body of a record against its own rule, as `gap-body`. Raises ValidationError."""
    content: Any = cbor2.loads(body)
    text = _TEXT
    if rule == "check-in-body":
        note = ", note: tstr .size (1..120)]" if len(content) > 2 else "]"
        text, found = _NOTE.subn(note, _TEXT.replace("action: 1 / 2 / 3", "action: 1..3"))
        assert found == 1
    if rule == "message-state-body":
        assert 1 <= len(content) <= 16
        for each in content:
            _validate("message-state", _message_state_text(each[1]), cbor2.dumps(each))
        return
    if rule == "acceptance-body":
        checks = content[1]
        assert 1 <= len(checks) <= 32
        for each in checks:
            ok = "null" if each[1] is None else "bool"
            text = ", text: tstr .size (0..64)]" if len(each) > 2 else "]"
            text = _TEXT.replace("ok: bool / null, ? text: tstr .size (0..64)]", f"ok: {ok}{text}")
            assert text != _TEXT
            _validate("acceptance-check", text, cbor2.dumps(each))
        text = _TEXT.replace("[1*32 acceptance-check]", "[* any]")
    _validate(rule, text, body)


def _message_state_text(state: int) -> str:
    """Return the one line of a message's state that is meant for this one."""
    text, found = _MESSAGE_STATE.subn(r"message-state = \2" if state == 3 else r"message-state = \1", _TEXT)
    assert found == 1
    return text.replace("1 / 2 / 4", str(state if state in {1, 2, 4} else 1))


def validate_receipt(tagged: bytes) -> None:
    """Validate a tagged COSE_Sign1 as a receipt. Raises ValidationError."""
    validate_receipt_payload(_validate_sign1(tagged))


def validate_receipt_payload(payload: bytes) -> None:
    """Validate a receipt's payload of one entry. Raises ValidationError."""
    content: Any = cbor2.loads(payload)
    ((_, stream, *_rest),) = content[2]
    text, found = _RECEIPT_TAIL.subn("  any,\n" * (len(content) - 3) + "]", _TEXT)
    assert found == 1
    text, found = _REASON.subn("  reason:" if len(content[2][0]) > 5 else "  ;", text)
    assert found == 1
    text, found = _STREAM_OR_NULL.subn(r"  null,\n  null,\n" if stream is None else r"  stream,\n  \1,\n", text)
    assert found == 1
    _validate("receipt-payload", text, payload)


def validate_message(tagged: bytes) -> None:
    """Validate a tagged COSE_Sign1 as a mailbox message. Raises ValidationError."""
    validate_message_payload(_validate_sign1(tagged))


def validate_message_payload(payload: bytes) -> None:
    """Validate a mailbox message's payload, its body by the line of its type. Raises ValidationError."""
    content: Any = cbor2.loads(payload)
    expires = "null" if content[4] is None else "uint .size 4"
    text = _TEXT.replace("expires_s: uint .size 4 / null", f"expires_s: {expires}").replace(
        "urgency: 0 / 1", "urgency: 0..1"
    )
    text, found = _MESSAGE_TAIL.subn("  body: any,\n" + "  any,\n" * (len(content) - 8) + "]", text)
    assert found == 1
    _validate("message-payload", text, payload)
    start = _TEXT.index("message-body =")
    lines = re.findall(r"\[(.*)\] +; (\d)", _TEXT[start : _TEXT.index("message-text =")])
    (line,) = (line for line, kind in lines if int(kind) == (4 if content[2] == 5 else content[2]))
    rules = [element.split(": ")[-1] for element in line.split(", ")]
    if len(content[7]) != len(rules):
        raise ValidationError(f"a body of type {content[2]} has {len(rules)} elements")
    for rule, part in zip(rules, content[7], strict=True):
        if not (part is None and rule.endswith(" / null")):
            _validate("part", f"part = {rule.removesuffix(' / null')}\n{_TEXT}", cbor2.dumps(part))


def validate_messages(answer: bytes) -> list[bytes]:
    """Validate an answer to `GET /m` with all that is in it, and return the messages. Raises ValidationError."""
    _validate("messages", _TEXT, answer)
    found: list[bytes] = cbor2.loads(answer)
    for tagged in found:
        validate_message(tagged)
    return found


def _validate_sign1(tagged: bytes) -> bytes:
    sign1 = cbor2.loads(tagged)
    assert (sign1.tag, len(sign1.value)) == (18, 4)
    for rule, part in zip(("protected", "unprotected", "signature"), (0, 1, 3), strict=True):
        _validate(rule, _TEXT, cbor2.dumps(sign1.value[part]))
    return bytes(sign1.value[2])


def _validate(rule: str, text: str, data: bytes) -> None:
    Schema(f"start = {rule}\n{text}").validate_cbor(data)


def validate_enrolment(tagged: bytes) -> None:
    """Validate a tagged COSE_Sign1 as an enrolment file. Raises ValidationError."""
    payload = _validate_sign1(tagged)
    content: Any = cbor2.loads(payload)
    assert cbor2.loads(tagged).value[1] == {}
    text = _without_tail(_TEXT, "enrolment-payload", len(content) - 7)
    text = text.replace("network: network / null", "network: null" if content[6] is None else "network: any")
    _validate("enrolment-payload", text, payload)
    if content[6] is not None:
        _validate("network", _TEXT, cbor2.dumps(content[6]))


def validate_enrol_request(tagged: bytes) -> None:
    """Validate a tagged COSE_Sign1 as a request of `POST /e`. Raises ValidationError."""
    payload = _validate_sign1(tagged)
    assert cbor2.loads(tagged).value[1] == {}
    _validate("enrol-payload", _without_tail(_TEXT, "enrol-payload", len(cbor2.loads(payload)) - 4), payload)


def validate_enrol_answer(tagged: bytes) -> None:
    """Validate a tagged COSE_Sign1 as an answer to `POST /e`. Raises ValidationError."""
    payload = _validate_sign1(tagged)
    assert list(cbor2.loads(tagged).value[1]) == [4]
    text = _without_tail(_TEXT, "enrol-answer-payload", len(cbor2.loads(payload)) - 3)
    _validate("enrol-answer-payload", text, payload)


def validate_rekey_request(payload: bytes) -> None:
    """Validate a request of `POST /k`. Raises ValidationError."""
    _validate("rekey-request", _TEXT.replace("step: 1 / 3", "step: 1..3"), payload)


def validate_rekey_answer(payload: bytes) -> None:
    """Validate an answer to `POST /k`. Raises ValidationError."""
    _validate("rekey-answer", _TEXT, payload)


def _without_tail(text: str, rule: str, more: int) -> str:
    """Write out the optional elements at the end of a rule's array: so many are there."""
    found, count = re.subn(
        rf"(^{rule} += \[.*?),\s*\* any,?\s*\]",
        lambda match: match[1] + ", any" * more + "]",
        text,
        count=1,
        flags=re.MULTILINE | re.DOTALL,
    )
    assert count == 1
    return found
