"""asyncio client for Openapi's Gateway SMS: nobody is texted twice, nobody is forgotten."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._retry import RetryPolicy
from ._version import __version__
from .auth import ApiKey, TokenSource
from .client import GatewayClient
from .draft import Options
from .errors import (
    APIError,
    AuthenticationError,
    BulkSendError,
    CallbackError,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    InsufficientCreditError,
    InvalidNumberError,
    InvalidRequestError,
    JournalCorruptError,
    JournalError,
    JournalExistsError,
    JournalLockedError,
    LimitReachedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RecipientsRejectedError,
    ServerError,
    TransactionClosedError,
    UnexpectedResponseError,
)
from .event_log import LogEvents
from .events import (
    AttemptEvent,
    BatchEvent,
    CloseEvent,
    Event,
    HoldEvent,
    RetryEvent,
    Stats,
)
from .messages import Messages
from .models import (
    DeliveryError,
    DeliveryPrice,
    DeliveryReport,
    DeliveryStatus,
    InvalidCount,
    Message,
    MessageOptions,
    MessageSummary,
    RecipientCounts,
    RecipientReport,
    Statistics,
    ValidCount,
)
from .preview import CountryPreview, Preview, preview
from .receipt import InvalidRecipient, Outcome, Progress, Receipt
from .recipients import Fields, Recipient, RecipientLike, Recipients, normalize
from .resume import purge_journal, read_journal
from .states import DeliveryState
from .text import TextSize, measure, to_gsm
from .transaction import Transaction

if TYPE_CHECKING:
    from .callback_receiver import CallbackReceiver
    from .callback_signer import CallbackSigner
    from .callbacks import Callback, CallbackLog, parse_callback
    from .campaigns import CampaignOptions, Campaigns, CampaignStatus
    from .delivery import DeliveryChange, DeliverySummary, MessageDelivery
    from .delivery_statistics import DeliveryStatistics

__all__ = [
    "APIError",
    "ApiKey",
    "AttemptEvent",
    "AuthenticationError",
    "BatchEvent",
    "BulkSendError",
    "Callback",
    "CallbackError",
    "CallbackLog",
    "CallbackReceiver",
    "CallbackSigner",
    "CampaignOptions",
    "CampaignStatus",
    "Campaigns",
    "CloseEvent",
    "CountryPreview",
    "DeliveryChange",
    "DeliveryError",
    "DeliveryPrice",
    "DeliveryReport",
    "DeliveryState",
    "DeliveryStatistics",
    "DeliveryStatus",
    "DeliverySummary",
    "Event",
    "Fields",
    "GatewayClient",
    "GatewayConnectionError",
    "GatewayError",
    "GatewayTimeoutError",
    "HoldEvent",
    "InsufficientCreditError",
    "InvalidCount",
    "InvalidNumberError",
    "InvalidRecipient",
    "InvalidRequestError",
    "JournalCorruptError",
    "JournalError",
    "JournalExistsError",
    "JournalLockedError",
    "LimitReachedError",
    "LogEvents",
    "Message",
    "MessageDelivery",
    "MessageOptions",
    "MessageSummary",
    "Messages",
    "NotFoundError",
    "Options",
    "Outcome",
    "OutcomeUnknownError",
    "Preview",
    "Progress",
    "RateLimitError",
    "Receipt",
    "Recipient",
    "RecipientCounts",
    "RecipientLike",
    "RecipientReport",
    "Recipients",
    "RecipientsRejectedError",
    "RetryEvent",
    "RetryPolicy",
    "ServerError",
    "Statistics",
    "Stats",
    "TextSize",
    "TokenSource",
    "Transaction",
    "TransactionClosedError",
    "UnexpectedResponseError",
    "ValidCount",
    "__version__",
    "measure",
    "normalize",
    "parse_callback",
    "preview",
    "purge_journal",
    "read_journal",
    "to_gsm",
]

# Imported when they are asked for: a program that only sends starts a tenth faster without them.
_LATER = {
    "Callback": "callbacks",
    "CallbackLog": "callbacks",
    "CallbackReceiver": "callback_receiver",
    "CallbackSigner": "callback_signer",
    "CampaignOptions": "campaigns",
    "CampaignStatus": "campaigns",
    "Campaigns": "campaigns",
    "DeliveryChange": "delivery",
    "DeliveryStatistics": "delivery_statistics",
    "DeliverySummary": "delivery",
    "MessageDelivery": "delivery",
    "parse_callback": "callbacks",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _LATER)
