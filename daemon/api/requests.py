"""What every request goes through: its body, its rule, its key; and what becomes of a refusal."""

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bondmate.api.authority import Authority, Rule, rule
from bondmate.api.idempotency import KEY, Answers, MismatchError
from bondmate.errors import LocalError, StoreError
from bondmate.officer_pin import OfficerPin, has_form
from bondmate.records import How

MAX_BODY_OCTETS = 4096
BODY_S = 5.0
"""A body that has not come by then does not come."""
_WRITES = {"POST", "PUT"}
_KEY_HEADER = "Idempotency-Key"

Answer = tuple[int, bytes]
"""The status and the JSON of an answer."""


class RefusalError(Exception):
    """The request is not done. The answer is `{"error": text}` and what else there is to tell."""

    def __init__(self, status: int, text: str, **more: Any) -> None:
        super().__init__(text)
        self.status = status
        self.content = {"error": text} | more


@web.middleware
async def refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Also what aiohttp refuses by itself (no such path, too large) is `{"error": …}`."""
    try:
        return await handler(request)
    except RefusalError as refusal:
        return web.json_response(refusal.content, status=refusal.status)
    except web.HTTPException as refusal:
        headers = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else None
        return web.json_response({"error": refusal.text or refusal.reason}, status=refusal.status, headers=headers)
    except StoreError as error:
        return web.json_response({"error": f"the store does not work: {error}"}, status=503)
    except LocalError as error:
        return web.json_response({"error": str(error)}, status=409)


@web.middleware
async def whole_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nothing begins before its body is here, and no body takes for ever."""
    if request.can_read_body:
        try:
            async with asyncio.timeout(BODY_S):
                await request.read()
        except TimeoutError:
            raise RefusalError(408, "the body did not come") from None
    return await handler(request)


def permitted(authority: Authority) -> Middleware:
    """What the table never allows is refused here. What it allows with a PIN asks for that itself (`PinGate`)."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is not None and rule(authority, request.method, resource.canonical) is Rule.NEVER:
            raise RefusalError(403, f"this is not for the {authority.value}")
        return await handler(request)

    return middleware


def idempotent() -> Middleware:
    """A write with a key that is known gets the first answer, also while that is still being made."""
    answers: Answers[asyncio.Future[Answer]] = Answers()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(_KEY_HEADER)
        if given is None or request.method not in _WRITES or request.match_info.http_exception is not None:
            return await handler(request)
        if KEY.fullmatch(given) is None:
            raise RefusalError(400, f"an {_KEY_HEADER} has 1 to 64 letters, digits and hyphens")
        key, body = (given, request.method, request.path), await request.read()
        try:
            known = answers.find(key, body)
        except MismatchError as error:
            raise RefusalError(422, str(error)) from None
        if known is None:
            # a task of its own: whoever waits for the first answer gets it, though the first client has gone
            known = asyncio.ensure_future(_answer(request, handler))
            answers.keep(key, body, known)
            known.add_done_callback(lambda done: _keep_what_was_done(answers, key, done))
        status, content = await asyncio.shield(known)
        return web.Response(status=status, body=content, content_type="application/json", charset="utf-8")

    return middleware


async def _answer(request: web.Request, handler: Handler) -> Answer:
    response = await refusals_as_json(request, handler)
    assert isinstance(response, web.Response)  # noqa: S101 - writes do not stream
    assert isinstance(response.body, bytes)  # noqa: S101
    return response.status, response.body


def _keep_what_was_done(
    answers: Answers[asyncio.Future[Answer]], key: tuple[str, ...], done: asyncio.Future[Answer]
) -> None:
    """An answer that says that it could not be done now is not kept."""
    if done.cancelled() or done.exception() is not None or done.result()[0] >= 500:
        answers.forget(key)


async def json_body(request: web.Request) -> dict[str, Any]:
    """The object in the body; an empty one without a body."""
    octets = await request.read()
    if not octets:
        return {}
    try:
        # the charset's own error is a LookupError
        body = json.loads(octets.decode(request.charset or "utf-8"), parse_constant=_no_number)
    except (ValueError, LookupError, RecursionError) as error:
        raise RefusalError(400, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise RefusalError(400, "the body is not a JSON object")
    return body


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def number_of(body: dict[str, Any], name: str, least: int, most: int) -> int:
    """A whole number in the body."""
    value = body.get(name)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RefusalError(400, f"{name} is a whole number from {least} to {most}")
    return value


def text_of(body: dict[str, Any], name: str, least: int, most: int) -> str:
    """A text in the body, of so many octets in UTF-8; a note that is left out is empty."""
    value = body.get(name, "" if least == 0 else None)
    try:
        if isinstance(value, str) and least <= len(value.encode()) <= most:
            return value
    except UnicodeEncodeError:  # half a surrogate pair
        pass
    raise RefusalError(400, f"{name} is a text of {least} to {most} octets")


def choice_of(body: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    """One of these words in the body."""
    value = body.get(name)
    if value not in choices:
        raise RefusalError(400, f"{name} is one of {', '.join(choices)}, not {value!r}")
    return str(value)


class PinGate:
    """Asks for the officer's PIN where the table says so."""

    def __init__(self, authority: Authority, pin: Callable[[], OfficerPin]) -> None:
        self._authority = authority
        self._pin = pin

    async def how(self, request: web.Request, body: dict[str, Any]) -> How:
        """By what right this is done. A PIN that is given counts, whoever gives it; else RefusalError."""
        given = body.get("pin")
        resource = request.match_info.route.resource
        path = "" if resource is None else resource.canonical
        if given is None:
            if rule(self._authority, request.method, path) is Rule.FREELY:
                return How.TOOL
            raise RefusalError(403, "the officer's PIN is needed", pin_needed=True)
        if not isinstance(given, str) or not has_form(given):
            raise RefusalError(400, "a PIN has 4 to 12 digits")
        answer = await self._pin().check(given)
        if answer.how is not None:
            return answer.how
        if answer.tries_left is None:
            raise RefusalError(403, answer.trouble or "no PIN is set")
        text = "the PIN is wrong" if not answer.locked_s else f"no PIN is looked at for {answer.locked_s:.0f} s"
        raise RefusalError(403, text, tries_left=answer.tries_left, locked_s=round(answer.locked_s, 3))
