"""Values of the OAuth service: the account, its environment, a token, scopes."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import force_setattr

from .._http.address import PRODUCTION, SANDBOX
from .._http.retry import RetryPolicy
from .._http.secret import Secret
from .._http.transport import ConnectorLike

__all__ = [
    "CONSOLE",
    "OAUTH",
    "OAUTH_SANDBOX",
    "Account",
    "ConnectionSettings",
    "Token",
    "missing_scopes",
]

_DAY = 24 * 60 * 60.0

OAUTH = "https://oauth.openapi.com"


OAUTH_SANDBOX = "https://test.oauth.openapi.com"


CONSOLE = "https://console.openapi.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account in one environment. Without `api_key`, it cannot create tokens."""

    email: str
    api_key: str | None = field(repr=False)
    oauth_url: str
    sandbox: bool

    @property
    def domain(self) -> str:
        """The gateway's host, which is part of each scope."""
        return urlsplit(SANDBOX if self.sandbox else PRODUCTION).netloc

    @property
    def scopes(self) -> list[str]:
        """The scopes that a token needs for all seven calls."""
        return [f"{method}:{self.domain}/messages" for method in ("GET", "POST", "PUT", "DELETE")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """How requests are sent: connector, proxy, timeout in seconds, retry policy."""

    connector: ConnectorLike | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    policy: RetryPolicy = field(default_factory=RetryPolicy)


class Token(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token, in memory and in a file. Times are wall seconds of this machine's clock.

    `value` and `refresh` are of the type Secret, which msgspec only encodes with `enc_hook=str`.
    """

    value: str
    refresh: str | None = None
    scopes: tuple[str, ...] = ()
    made_at: float
    expires_at: float | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "value", Secret(self.value))
        if self.refresh is not None:
            force_setattr(self, "refresh", Secret(self.refresh))

    @property
    def renew_at(self) -> float:
        """When to renew it: in the last tenth of its life, at most a day before its end."""
        if self.expires_at is None:
            return float("inf")
        return self.expires_at - min((self.expires_at - self.made_at) / 10, _DAY)

    def lives(self, now: float) -> bool:
        """Whether it has not expired; True if its end is not known."""
        return self.expires_at is None or now < self.expires_at

    def __repr__(self) -> str:
        return f"Token(scopes={self.scopes!r}, expires_at={self.expires_at!r})"


def missing_scopes(account: Account, token: Token) -> list[str]:
    """Return the scopes that the token lacks, as far as its list of scopes shows."""
    if not token.scopes or any("*" in scope for scope in token.scopes):
        return []
    granted = {scope.rstrip("/").casefold() for scope in token.scopes}
    return [scope for scope in account.scopes if scope.casefold() not in granted]
