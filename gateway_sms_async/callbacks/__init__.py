"""What the gateway POSTs to `options.callback_url`: parsed, told from repeats, received.

`callbacks.aiohttp` and `callbacks.asgi` put a `CallbackReceiver` into a web application.
"""

from ._callback import Callback, parse_callback
from ._log import CallbackLog
from ._receiver import CallbackReceiver
from ._signer import CallbackSigner

__all__ = ["Callback", "CallbackLog", "CallbackReceiver", "CallbackSigner", "parse_callback"]
