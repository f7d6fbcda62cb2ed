"""How the gateway and the OAuth service answer a path or a method that no documentation names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from .fault_effects import page, respond
from .requests import METHODS
from .responses import UNKNOWN_PATH, WRONG_METHOD, failure

_NAMED: Final = {404: (UNKNOWN_PATH, "Not Found"), 405: (WRONG_METHOD, "Method Not Allowed")}


def answer(method: str, is_call: Callable[[str], bool], *, as_page: bool) -> web.Response:
    """Return the response to a request by `method` that is none of the documented calls.

    `is_call` says whether another method makes a call of this path. `as_page`: refuse as a web
    server does, with a page, and OPTIONS too.
    """
    allowed = {other for other in METHODS if is_call(other)}
    status = 405 if allowed else 404
    if as_page:
        return page(status)
    if allowed and method == "OPTIONS":
        response = web.Response(status=204)
    else:
        response = respond(failure(status, *_NAMED[status]))
    if allowed:
        more = {"HEAD", "OPTIONS"} if "GET" in allowed else {"OPTIONS"}
        response.headers["Allow"] = ", ".join(sorted(allowed | more))
    return response
