"""The commands on the account: login, logout, whoami.

The API key is used once and not kept. Neither the key nor a token is ever printed.
"""

import asyncio
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from ... import ApiKey, GatewayError
from ..._auth.account import CONSOLE, ConnectionSettings, Token, missing_scopes
from ..._auth.api_key import RenewedToken
from ..._auth.environment import email_in_environment, key_in_environment, pair_in_environment
from ..._auth.oauth import OAuth
from ..._auth.token_file import KeptToken, keep_token
from ..._http.address import PRODUCTION, SANDBOX, check_proxy, choose_base_url
from ..._http.secret import Secret
from ..._http.tokens import StaticToken
from ..app import command
from ..login import LOGIN_TTL, FoundToken, Login, find_login, login_file
from ..options import AccountOptions, Proxy, connection_option
from ..terminal.console import print_json, print_lines, print_status

_ENVIRONMENTS = {PRODUCTION: "production", SANDBOX: "sandbox"}

Sandbox = Annotated[bool, connection_option("Use the vendor's sandbox.", "--sandbox")]

BaseUrl = Annotated[
    str | None,
    connection_option(
        "Use the gateway at this address; OPENAPI_OAUTH_URL is the address that makes its tokens.",
        metavar="URL",
    ),
]


def _address(base_url: str | None, *, sandbox: bool) -> str:
    if sandbox and base_url is not None:
        raise ValueError("give either --sandbox or --base-url, not both")
    return choose_base_url(base_url, sandbox=sandbox)


def _environment(base_url: str) -> str:
    return _ENVIRONMENTS.get(base_url, base_url)


def _connection(proxy: str | None) -> ConnectionSettings:
    if proxy is not None:
        check_proxy(proxy)
    return ConnectionSettings(proxy=proxy)


def _prompt_for_pair() -> tuple[str, Secret]:
    email, key = email_in_environment(), key_in_environment()
    if (email is None or key is None) and not sys.stdin.isatty():
        raise ValueError(
            "cannot ask for the API key without a terminal: set OPENAPI_EMAIL and OPENAPI_API_KEY"
        )
    if email is None:
        email = str(typer.prompt("E-mail of the account", err=True)).strip()
    if key is None:
        key = Secret(typer.prompt("API key (not shown)", hide_input=True, err=True).strip())
    return email, key


@command(
    "gateway-sms login",
    "gateway-sms login --sandbox",
    "OPENAPI_EMAIL=me@example.com OPENAPI_API_KEY=$(cat key) gateway-sms login",
)
def login(*, sandbox: Sandbox = False, base_url: BaseUrl = None, proxy: Proxy = None) -> None:
    """Make a token from the account's e-mail and API key, and keep it for all commands.

    Asks for the e-mail and the key unless OPENAPI_EMAIL and OPENAPI_API_KEY are set. The key is not
    kept. The token is valid for 30 days, and a command that runs in the last three renews it. Its
    file can be read by you only. Production and sandbox have separate logins.

    Exit codes: 0 logged in; 1 refused or failed; 2 wrong usage.
    """
    address = _address(base_url, sandbox=sandbox)
    settings = _connection(proxy)
    email, key = _prompt_for_pair()
    path = login_file(address, email)
    source = ApiKey(email, key, sandbox=address == SANDBOX, ttl=LOGIN_TTL)
    source.check_opens(address)
    source.use(settings)
    token = asyncio.run(source.details())
    account = source.account
    keep_token(
        path,
        KeptToken(oauth_url=account.oauth_url, email=email, sandbox=account.sandbox, token=token),
    )
    until = "" if token.expires_at is None else f" until {_expiry(token):%Y-%m-%d %H:%M} UTC"
    print_status(f"Logged in to {_environment(address)} as {email}{until}; the token is in {path}")


@command("gateway-sms logout", "gateway-sms logout --sandbox")
def logout(*, sandbox: Sandbox = False, base_url: BaseUrl = None, proxy: Proxy = None) -> None:
    """Delete the token that `login` has kept.

    If OPENAPI_EMAIL and OPENAPI_API_KEY are set, the token is revoked as well.
    """
    address = _address(base_url, sandbox=sandbox)
    settings = _connection(proxy)
    found = find_login(address)
    if found is None:
        print_status(f"Not logged in to {_environment(address)}.")
        return
    revoked = _revoke(found, settings)
    found.path.unlink(missing_ok=True)
    print_status(f"Logged out of {_environment(address)}.")
    if not revoked:
        print_status(
            f"The token itself is valid until it expires, unless you delete it at {CONSOLE}"
        )


def _revoke(login: Login, settings: ConnectionSettings) -> bool:
    if key_in_environment() is None or (pair := pair_in_environment()) is None:
        return False
    kept = login.kept
    account = ApiKey(*pair, sandbox=kept.sandbox, oauth_url=kept.oauth_url).account
    try:
        asyncio.run(OAuth(account, settings).delete(kept.token.value))
    except GatewayError as error:
        print_status(f"gateway-sms: {error}")
        return False
    return True


@command("gateway-sms whoami", "gateway-sms whoami --sandbox --json")
def whoami(account: AccountOptions) -> None:
    """Show which token commands use: environment, scopes, expiry, and the account's credit.

    The token itself is not shown. For a token given by OPENAPI_TOKEN or --token-file, scopes and
    expiry are known only if OPENAPI_EMAIL and OPENAPI_API_KEY are set as well.
    """
    found = account.find_token()
    facts = asyncio.run(_look_up(account, found))
    if account.as_json:
        print_json(facts)
    else:
        print_lines(
            facts
            | {
                "scopes": "\n".join(facts["scopes"] or ()) or "not known",
                "missing_scopes": "\n".join(facts["missing_scopes"] or ()) or None,
                "expires_at": facts["expires_at"] or "not known",
                "credit": "not known" if facts["credit"] is None else f"{facts['credit']} EUR",
            }
        )


async def _look_up(account: AccountOptions, found: FoundToken) -> dict[str, Any]:
    address = account.address()
    oauth = _oauth(account, found)
    email: str | None = None
    token: Token | None = None
    missing: list[str] | None = None
    if isinstance(found.source, RenewedToken):
        email = found.source.account.email
        token = await found.source.details()
        missing = missing_scopes(found.source.account, token)
    elif oauth is not None:
        email = oauth.account.email
        token = await oauth.look_up(found.source.fixed)
        missing = missing_scopes(oauth.account, token)
    return {
        "environment": _environment(address),
        "base_url": address,
        "token_from": found.origin,
        "account": email,
        "scopes": None if token is None else list(token.scopes),
        "missing_scopes": missing,
        "expires_at": None if token is None or token.expires_at is None else _expiry(token),
        "credit": await _credit(account, oauth),
    }


def _oauth(account: AccountOptions, found: FoundToken) -> OAuth | None:
    """Return the account's OAuth service, or None if the API key is not known."""
    source = found.source
    if isinstance(source, StaticToken):
        if key_in_environment() is None or (pair := pair_in_environment()) is None:
            return None
        source = ApiKey(*pair, sandbox=account.address() == SANDBOX)
        source.check_opens(account.address())
    settings = ConnectionSettings(timeout=account.timeout, proxy=account.proxy)
    return None if source.account.api_key is None else OAuth(source.account, settings)


async def _credit(account: AccountOptions, oauth: OAuth | None) -> Decimal | None:
    if oauth is not None:
        return await oauth.credit()
    async with account.client() as gateway:
        # Any response may name the credit; that of an account without messages perhaps does not.
        await gateway.messages.list()
        return gateway.credit


def _expiry(token: Token) -> datetime:
    return datetime.fromtimestamp(int(token.expires_at or 0), UTC)
