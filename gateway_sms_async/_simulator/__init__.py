"""A simulator of the SMS gateway: the documented rules, open questions as knobs, and faults.

It shares no code with the client, so that a mistake about the wire cannot be on both sides.
Users' tests enter through `gateway_sms_async.testing`.
"""

from .callbacks import RecordedCallback
from .deliveries import Deliveries
from .dialect import Dialect
from .faults import Fault, Faults
from .gateway import Gateway
from .oauth import IssuedToken, OAuthService
from .outbox import Text
from .requests import RecordedRequest
from .server import Simulator

__all__ = [
    "Deliveries",
    "Dialect",
    "Fault",
    "Faults",
    "Gateway",
    "IssuedToken",
    "OAuthService",
    "RecordedCallback",
    "RecordedRequest",
    "Simulator",
    "Text",
]
