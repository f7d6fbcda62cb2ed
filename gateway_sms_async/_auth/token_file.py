"""A token kept in a file that only its owner can read.

Token sources and the commands on the account enter. There is no lock: of two processes that write
at once the last one wins, and both tokens work.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ..errors import GatewayError
from .account import Account, Token

__all__ = ["KeptToken", "keep_token", "read_token"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeptToken(Struct, frozen=True, kw_only=True):
    """What the file holds: a token, and whose it is. The API key is never in it."""

    oauth_url: str
    email: str
    sandbox: bool
    token: Token

    def is_of(self, account: Account) -> bool:
        """Whether it was made for this account, in this environment."""
        mine = (account.oauth_url, account.email, account.sandbox)
        return mine == (self.oauth_url, self.email, self.sandbox)

    @property
    def account(self) -> Account:
        """The account, without its API key."""
        return Account(
            email=self.email, api_key=None, oauth_url=self.oauth_url, sandbox=self.sandbox
        )


_decoder = msgspec.json.Decoder(KeptToken)


def read_token(path: Path) -> KeptToken | None:
    """Return what is in the file, None when there is none.

    GatewayError when others can read it, or it is something else.
    """
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
                raise GatewayError(
                    f"{path}: others may read this token; delete the file, so that another is made"
                )
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GatewayError(f"{path}: the token cannot be read ({error.strerror})") from None
    try:
        return _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise GatewayError(f"{path}: this is no token of ours; delete it, or name another file")


def keep_token(path: Path, kept: KeptToken) -> None:
    """Write the file whole or not at all; GatewayError when it cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # 0600 from its first byte on.
        number, name = tempfile.mkstemp(".tmp", f".{path.name}-", path.parent)
        new = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(kept)))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            with suppress(FileNotFoundError):
                new.unlink()
    except OSError as error:
        raise GatewayError(f"{path}: the token cannot be kept ({error.strerror})") from None
