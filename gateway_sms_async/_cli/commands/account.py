"""The commands on the account: log in, log out, and who is logged in.

The command line's entry takes them in. The API key is read, used once and forgotten; neither it
nor a token is ever shown.
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
from ..._http.address import PRODUCTION, SANDBOX, choose_base_url
from ..._http.tokens import StaticToken
from ..app import command
from ..login import LOGIN_TTL, FoundToken, Login, find_login, login_file
from ..options import AccountOptions, of_connection
from ..terminal.console import print_json, print_lines, say

_ENVIRONMENTS = {PRODUCTION: "production", SANDBOX: "sandbox"}


Sandbox = Annotated[bool, of_connection("The vendor's sandbox.", "--sandbox")]


BaseUrl = Annotated[
    str | None,
    of_connection(
        "Another address; OPENAPI_OAUTH_URL says where its tokens are made.", metavar="URL"
    ),
]


def _address(base_url: str | None, *, sandbox: bool) -> str:
    if sandbox and base_url is not None:
        raise ValueError("give either --sandbox or --base-url, not both")
    return choose_base_url(base_url, sandbox=sandbox)


def _environment(base_url: str) -> str:
    return _ENVIRONMENTS.get(base_url, base_url)


def _ask_for_pair() -> tuple[str, str]:
    email, key = email_in_environment(), key_in_environment()
    if (email is None or key is None) and not sys.stdin.isatty():
        raise ValueError("there is nobody to ask: set OPENAPI_EMAIL and OPENAPI_API_KEY")
    if email is None:
        email = str(typer.prompt("E-mail of the account", err=True)).strip()
    if key is None:
        key = str(typer.prompt("API key (not shown)", hide_input=True, err=True)).strip()
    return email, key


@command(
    "gateway-sms login",
    "gateway-sms login --sandbox",
    "OPENAPI_EMAIL=me@example.com OPENAPI_API_KEY=$(cat key) gateway-sms login",
)
def login(*, sandbox: Sandbox = False, base_url: BaseUrl = None) -> None:
    """Make a token from the account's e-mail and API key, and keep it for all commands.

    Asks for what OPENAPI_EMAIL and OPENAPI_API_KEY do not say. The key is not kept: the token
    lives 30 days and is renewed by itself when it is used in the last three. It is in a file that
    only you can read. Production and sandbox have logins of their own.
    """
    address = _address(base_url, sandbox=sandbox)
    email, key = _ask_for_pair()
    source = ApiKey(email, key, sandbox=address == SANDBOX, ttl=LOGIN_TTL)
    source.check_opens(address)
    token = asyncio.run(source.details())
    account = source.account
    path = login_file(address, email)
    keep_token(
        path,
        KeptToken(oauth_url=account.oauth_url, email=email, sandbox=account.sandbox, token=token),
    )
    until = "" if token.expires_at is None else f" until {_moment(token):%Y-%m-%d %H:%M} UTC"
    say(f"Logged in to {_environment(address)} as {email}{until}; the token is in {path}")


@command("gateway-sms logout", "gateway-sms logout --sandbox")
def logout(*, sandbox: Sandbox = False, base_url: BaseUrl = None) -> None:
    """Forget the token that `login` has kept.

    With OPENAPI_EMAIL and OPENAPI_API_KEY set it is also taken out of use.
    """
    address = _address(base_url, sandbox=sandbox)
    found = find_login(address)
    if found is None:
        say(f"Nobody is logged in to {_environment(address)}.")
        return
    revoked = _revoke(found)
    found.path.unlink(missing_ok=True)
    say(f"Logged out of {_environment(address)}.")
    if not revoked:
        say(f"The token itself works until it expires, unless you delete it at {CONSOLE}")


def _revoke(login: Login) -> bool:
    if key_in_environment() is None or (pair := pair_in_environment()) is None:
        return False
    kept = login.kept
    account = ApiKey(*pair, sandbox=kept.sandbox, oauth_url=kept.oauth_url).account
    try:
        asyncio.run(OAuth(account, ConnectionSettings()).delete(kept.token.value))
    except GatewayError as error:
        say(f"gateway-sms: {error}")
        return False
    return True


@command("gateway-sms whoami", "gateway-sms whoami --sandbox --json")
def whoami(account: AccountOptions) -> None:
    """Show which token commands use: its environment, scopes and end, and the account's credit.

    The token itself is not shown. The scopes and the end of one that was given as it is are known
    only if OPENAPI_EMAIL and OPENAPI_API_KEY are set too.
    """
    found = account.find_token()
    facts = asyncio.run(_ask(account, found))
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


async def _ask(account: AccountOptions, found: FoundToken) -> dict[str, Any]:
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
        "expires_at": None if token is None or token.expires_at is None else _moment(token),
        "credit": await _credit(account, oauth),
    }


def _oauth(account: AccountOptions, found: FoundToken) -> OAuth | None:
    """Return the account's OAuth service, where the API key is at hand."""
    source = found.source
    if isinstance(source, StaticToken):
        if key_in_environment() is None or (pair := pair_in_environment()) is None:
            return None
        source = ApiKey(*pair, sandbox=account.address() == SANDBOX)
        source.check_opens(account.address())
    way = ConnectionSettings(timeout=account.timeout)
    return None if source.account.api_key is None else OAuth(source.account, way)


async def _credit(account: AccountOptions, oauth: OAuth | None) -> Decimal | None:
    if oauth is not None:
        return await oauth.credit()
    async with account.client() as gateway:
        # Every answer names it, this one of an empty account perhaps not.
        await gateway.messages.list()
        return gateway.credit


def _moment(token: Token) -> datetime:
    return datetime.fromtimestamp(int(token.expires_at or 0), UTC)
