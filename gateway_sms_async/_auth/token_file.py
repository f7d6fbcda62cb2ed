"""A token in a file that only its owner can read.

There is no lock. If two processes write at once, the last one wins, and both tokens work.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from .._private_folder import create_private_folder, foreign_access
from ..errors import GatewayError
from .account import Account, Token

__all__ = ["KeptToken", "keep_token", "read_token"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeptToken(Struct, frozen=True, kw_only=True):
    """The content of the file: a token and its account. The API key is never in it."""

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
    """Return the content of the file; None if the file does not exist.

    Raises GatewayError if other users can read the file or own it, or if it holds something else.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and status.st_mode & _OTHERS:
                raise GatewayError(
                    f"{path}: other users can read this token; delete the file, and a new token is made"
                )
            if (how := foreign_access(status)) is not None:
                raise GatewayError(
                    f"{path}: this token may not be yours: {how}; delete the file, and a new token "
                    "is made"
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
    raise GatewayError(f"{path}: this file does not hold a token; delete it, or use another file")


def keep_token(path: Path, kept: KeptToken) -> None:
    """Write the file whole or not at all; raises GatewayError if it cannot be written."""
    try:
        create_private_folder(path.parent)
        # mkstemp creates it with mode 0600, so other users can never read it.
        number, name = tempfile.mkstemp(".tmp", f".{path.name}-", path.parent)
        new = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(kept, enc_hook=str)))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            with suppress(FileNotFoundError):
                new.unlink()
    except OSError as error:
        raise GatewayError(f"{path}: the token cannot be written ({error.strerror})") from None
