"""The vendor's OAuth service: an account, its scopes, and the tokens created for it.

The server checks tokens here; tests remove scopes or tokens. No I/O. The calls are those of the
service's version 2 (`/tokens`); `oauth_v1` has the older ones. Error codes are those of the vendor's
"OAuth" page where it names one.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from . import responses
from .requests import OAuthRequest
from .responses import JSON, RefusedError, Response, failure, is_list, is_object

_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
_DOMAINS: Final = ("ws.messaggisms.com", "test.ws.messaggisms.com")
_DAY: Final = 24 * 60 * 60
_YEAR: Final = 365 * _DAY
_MOST_LISTED: Final = 100
INVALID_TOKEN: Final = 60
MISSING_SCOPES: Final = 70
INVALID_SCOPES_FORMAT: Final = 80
INVALID_SCOPES: Final = 90
PATCH_INVALID_SCOPES: Final = 110
NO_TOKEN_ID: Final = {"refresh_token": 150, "delete_token": 170}
NO_TOKEN: Final = {"get_token": 120, "refresh_token": 160, "delete_token": 180}
WRONG_REFRESH: Final = 130
WRONG_ACCOUNT: Final = 140


@dataclass(slots=True, kw_only=True)
class IssuedToken:
    """A token of the service.

    - `token`, `refresh_token`: the secrets; `refresh_token` is None if none was issued.
    - `name`: as the request named it.
    - `scopes`: the calls that the token allows, such as "GET:ws.messaggisms.com/messages".
    - `created_at`, `expires_at`: wall seconds by the simulator's clock.
    """

    token: str
    refresh_token: str | None
    name: str
    scopes: list[str]
    created_at: float
    expires_at: float


class OAuthService:
    """One account and its tokens. All attributes may be changed while it runs.

    - `email`, `api_key`: the account's credentials.
    - `scopes`: the scopes that the account may request; without any scope of a host, that API is
      not enabled.
    - `dropped`: scopes that new tokens silently lack.
    - `max_ttl`, `default_ttl`: lifetimes in seconds.
    - `refreshable`: whether new tokens get a refresh token.
    - `enveloped`: whether responses have the token in `data`.
    - `clock_ahead`: seconds by which the service's clock is ahead of the simulator's.
    - `tokens`: the valid tokens.
    """

    def __init__(
        self,
        *,
        email: str,
        api_key: str,
        clock: Callable[[], float],
        credit: Callable[[], Decimal],
    ) -> None:
        self.email = email
        self.api_key = api_key
        self.scopes: set[str] = {
            f"{method}:{domain}/messages" for method in _METHODS for domain in _DOMAINS
        }
        self.dropped: set[str] = set()
        self.max_ttl = _YEAR
        self.default_ttl = _YEAR
        self.refreshable = True
        self.enveloped = False
        self.clock_ahead: float = 0.0
        self.tokens: dict[str, IssuedToken] = {}
        self._clock = clock
        self._credit = credit

    def revoke_all(self) -> None:
        """Revoke all tokens and their refresh tokens."""
        self.tokens.clear()

    def refusal(self, token: str, method: str) -> Response | None:
        """Return the refusal if `token` does not allow a request by `method`, else None."""
        known = self.find(token)
        if known is None:
            return failure(401, responses.UNAUTHORIZED, "Unauthorized")
        if not {f"{method}:{domain}/messages" for domain in _DOMAINS} & set(known.scopes):
            return failure(403, responses.FORBIDDEN, "Forbidden")
        return None

    @property
    def credit(self) -> float:
        """The account's credit, in EUR."""
        return float(self._credit())

    def find(self, token: str) -> IssuedToken | None:
        """Return the token, None if it is unknown or has expired."""
        known = self.tokens.get(token)
        return None if known is None or self._clock() >= known.expires_at else known

    def valid_tokens(self) -> list[IssuedToken]:
        """Return the tokens that have not expired, oldest first."""
        return [known for known in self.tokens.values() if self._clock() < known.expires_at]

    def call(self, request: OAuthRequest) -> Response:
        """Apply one of the calls, and return its response."""
        target, _, query, authorization, body = request
        _, operation, token = target
        try:
            if operation != "refresh_token":
                self.check_account(authorization, responses.UNAUTHORIZED)
            if not token and operation in NO_TOKEN_ID:
                raise RefusedError(400, NO_TOKEN_ID[operation], "Token ID is required")
            match operation:
                case "refresh_token":
                    response = self._patch(token, authorization, body)
                case "create_token":
                    response = self._create(body)
                case "list_tokens":
                    listed = self.valid_tokens()[_read_count(query.get("skip"), 0) :]
                    limit = _read_count(query.get("limit"), _MOST_LISTED)
                    listed = listed[: min(limit, _MOST_LISTED)]
                    response = enveloped([self._describe(known) for known in listed])
                case "list_scopes":
                    response = enveloped(self._list_scopes())
                case "get_wallet":
                    response = enveloped({"credit": self.credit})
                case "delete_token":
                    self._find(token, operation)
                    del self.tokens[token]
                    response = enveloped(None, "Deleted")
                case _:
                    response = self._show(self._find(token, operation))
        except RefusedError as refused:
            response = refused.response()
        return response

    def checkpoint(self) -> Callable[[], None]:
        """Return a function that undoes everything that happens from now on."""
        tokens = dict(self.tokens)

        def undo() -> None:
            self.tokens = tokens

        return undo

    def _create(self, body: Any) -> Response:
        requested = body if is_object(body) else {}
        if "scopes" not in requested:
            raise RefusedError(422, MISSING_SCOPES, "missing scopes array")
        scopes = self._checked_scopes(requested["scopes"], INVALID_SCOPES)
        return self._show(self.issue(scopes, str(requested.get("name", "")), requested.get("ttl")))

    def _patch(self, token: str, authorization: str, body: Any) -> Response:
        requested = body if is_object(body) else {}
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            known = self._find(token, "refresh_token")
            if known.refresh_token is None or credentials != known.refresh_token:
                raise RefusedError(401, WRONG_REFRESH, "Unauthorized")
            del self.tokens[token]
            return self._show(self.issue(known.scopes, known.name, requested.get("ttl")))
        self.check_account(authorization, WRONG_ACCOUNT)
        known = replace(self._find(token, "refresh_token"))
        if "scopes" in requested:
            known.scopes = self._checked_scopes(requested["scopes"], PATCH_INVALID_SCOPES)
        if "ttl" in requested:
            known.expires_at = self.expiry(requested["ttl"])
        known.name = str(requested.get("name", known.name))
        self.tokens[token] = known
        return self._show(known)

    def issue(self, scopes: list[str], name: str, ttl: object) -> IssuedToken:
        """Make a token with these scopes, without those in `dropped`."""
        issued = IssuedToken(
            token=secrets.token_hex(12),
            refresh_token=secrets.token_hex(12) if self.refreshable else None,
            name=name,
            scopes=[scope for scope in scopes if scope not in self.dropped],
            created_at=self._clock(),
            expires_at=self.expiry(ttl),
        )
        self.tokens[issued.token] = issued
        return issued

    def expiry(self, ttl: object) -> float:
        """Return when a token with this `ttl` expires; one that cannot be used is the default."""
        lifetime = ttl if isinstance(ttl, int) and ttl > 0 else self.default_ttl
        return self._clock() + min(lifetime, self.max_ttl)

    def _checked_scopes(self, requested: Any, code: int) -> list[str]:
        if not is_list(requested) or not all(isinstance(scope, str) for scope in requested):
            raise RefusedError(422, INVALID_SCOPES_FORMAT, "invalid scopes format")
        if not requested or not set(requested) <= self.scopes:
            raise RefusedError(422, code, "Invalid scopes specified or API not enabled")
        return list(requested)

    def check_account(self, authorization: str, code: int) -> None:
        """Raise a refusal with the error `code` unless these are the account's credentials."""
        scheme, _, credentials = authorization.partition(" ")
        try:
            pair = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        if scheme.lower() != "basic" or pair != f"{self.email}:{self.api_key}":
            raise RefusedError(401, code, "Unauthorized")

    def _find(self, token: str, operation: str) -> IssuedToken:
        known = self.find(token)
        if known is None:
            raise RefusedError(404, NO_TOKEN[operation], "Not Found")
        return known

    def _list_scopes(self) -> list[JSON]:
        return [
            {
                "id": f"{number:024x}",
                "scope": f"{method}:{domain}/messages",
                "method": method,
                "endpoint": "messages",
                "domain": domain,
                "enabled": f"{method}:{domain}/messages" in self.scopes,
            }
            for number, (domain, method) in enumerate(
                (domain, method) for domain in _DOMAINS for method in _METHODS
            )
        ]

    def _show(self, issued: IssuedToken) -> Response:
        detail = self._describe(issued)
        return enveloped(detail) if self.enveloped else Response(200, detail)

    def _describe(self, issued: IssuedToken) -> JSON:
        detail: JSON = {
            "token": issued.token,
            "name": issued.name,
            "createdAt": self._format_time(issued.created_at),
            "expireAt": self._format_time(issued.expires_at),
            "updatedAt": self._format_time(issued.created_at),
            "scopes": issued.scopes,
        }
        if issued.refresh_token is not None:
            detail["refreshToken"] = issued.refresh_token
        return detail

    def _format_time(self, moment: float) -> str:
        return datetime.fromtimestamp(moment + self.clock_ahead, UTC).isoformat()


def _read_count(text: str | None, default: int) -> int:
    """Return a count in a query, `default` if it is none."""
    return int(text) if text and text.isascii() and text.isdecimal() else default


def enveloped(data: Any, message: str = "") -> Response:
    """Return a success with `data` in the envelope of both versions."""
    return Response(200, {"data": data, "success": True, "message": message, "error": None})
