"""Version 1 of the vendor's OAuth service: `/token` and `/credit`, which its own SDKs call.

It has the account and the tokens of version 2, under other paths and in other forms. Where the
paths of both are the same (`/scopes`), version 2 answers. `/counters` is left out. Error codes are
those of the vendor's "Oauth" page where it names one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from . import responses
from .oauth import IssuedToken, OAuthService, enveloped
from .requests import OAuthRequest
from .responses import JSON, RefusedError, Response, is_list, is_object

_MISSING_SCOPES: Final = 110
_WRONG_TOKEN: Final = 125
_INVALID_SCOPES: Final = 270
_NOTHING_TO_CHANGE: Final = 310
_NO_TOKEN: Final = {"PUT": 170, "PATCH": 290, "DELETE": 150}
_NOT_SINGLE: Final = {"PUT": 160, "PATCH": 280, "DELETE": 140}


def call_v1(service: OAuthService, request: OAuthRequest) -> Response:
    """Apply one of the calls, and return its response."""
    body = request.body if is_object(request.body) else {}
    token = request.target.token
    try:
        service.check_account(request.authorization, responses.UNAUTHORIZED)
        match request.target.operation:
            case "create_token":
                response = _create(service, body)
            case "list_tokens":
                response = _list(service, request.query.get("scope"))
            case "get_token":
                response = _get(service, token)
            case "get_wallet":
                response = enveloped({"credit": service.credit})
            case _:
                response = _change(service, token, request.method, body)
    except RefusedError as refused:
        response = refused.response()
    return response


def _create(service: OAuthService, body: JSON) -> Response:
    if not is_list(body.get("scopes")):
        raise RefusedError(406, _MISSING_SCOPES, "missing scopes array")
    issued = service.issue(_expanded(service, body["scopes"]), "", None)
    issued.expires_at = _expiry(service, body, default=issued.expires_at)
    envelope = {**_show(service, issued), "success": True, "message": "", "error": None}
    return Response(200, envelope)


def _list(service: OAuthService, scope: str | None) -> Response:
    shown = [
        _show(service, known)
        for known in service.valid_tokens()
        if scope is None or scope in known.scopes
    ]
    return enveloped(shown) if shown else Response(204, {})


def _get(service: OAuthService, token: str) -> Response:
    known = service.find(token)
    if known is None:
        raise RefusedError(402, _WRONG_TOKEN, "Wrong Token")
    return enveloped([_show(service, known)])


def _change(service: OAuthService, token: str, method: str, body: JSON) -> Response:
    """Delete a token, replace it (PUT), or change what the body names of it (PATCH)."""
    if not token:
        wording = "Only single tokens are enabled for this method"
        raise RefusedError(403, _NOT_SINGLE[method], wording)
    known = service.find(token)
    if known is None:
        raise RefusedError(404, _NO_TOKEN[method], "Missing Token")
    if method == "DELETE":
        del service.tokens[token]
        return Response(200, {"success": True, "message": "1 deleted token", "error": None})
    changed = replace(known)
    if method == "PUT":
        changed.expires_at = service.expiry(None)
        body = {name: body[name] for name in body if name != "ttl"}
    elif not body.keys() & {"scopes", "expire", "ttl"}:
        raise RefusedError(406, _NOTHING_TO_CHANGE, "missing scopes array and expire")
    if method == "PUT" or "scopes" in body:
        changed.scopes = _expanded(service, body.get("scopes"))
    changed.expires_at = _expiry(service, body, default=changed.expires_at)
    service.tokens[token] = changed
    return enveloped([_show(service, changed)])


def _expanded(service: OAuthService, requested: Any) -> list[str]:
    """Return the account's scopes that are requested, each once; `*` stands for any text."""
    granted: dict[str, None] = {}
    for pattern in requested if is_list(requested) else ():
        matches = _matching(service, pattern) if isinstance(pattern, str) else []
        if not matches:
            granted.clear()
            break
        granted.update(dict.fromkeys(matches))
    if not granted:
        raise RefusedError(406, _INVALID_SCOPES, "invalid scopes specified")
    return [scope for scope in granted if scope not in service.dropped]


def _matching(service: OAuthService, pattern: str) -> list[str]:
    matches = re.compile(".*".join(map(re.escape, pattern.split("*")))).fullmatch
    return [scope for scope in sorted(service.scopes) if matches(scope)]


def _expiry(service: OAuthService, body: JSON, *, default: float) -> float:
    """Return when the token expires: by `ttl` in seconds, or by `expire`, a UNIX time."""
    if "ttl" in body:
        return service.expiry(body["ttl"])
    expire = body.get("expire")
    return min(expire, service.expiry(None)) if isinstance(expire, int) else default


def _show(service: OAuthService, known: IssuedToken) -> JSON:
    expire = round(known.expires_at + service.clock_ahead)
    return {"scopes": known.scopes, "expire": expire, "token": known.token}
