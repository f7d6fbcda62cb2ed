"""Delivery callbacks: the requests that the gateway POSTs to `options.callback_url`.

- `parse_callback` turns a body into a `Callback`.
- `CallbackLog` recognizes repeated callbacks.
- `CallbackSigner` creates and verifies signed callback URLs.
- `CallbackReceiver` answers requests and queues callbacks; `callbacks.aiohttp` and
  `callbacks.asgi` put it into a web application.
"""

from ._callback import Callback, parse_callback
from ._log import CallbackLog
from ._receiver import CallbackReceiver
from ._signer import CallbackSigner

__all__ = ["Callback", "CallbackLog", "CallbackReceiver", "CallbackSigner", "parse_callback"]
