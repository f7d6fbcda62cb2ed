"""asyncio client for Openapi's Gateway SMS: no recipient is texted twice, none is forgotten."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._auth.api_key import ApiKey
from ._client import GatewayClient
from ._delivery.state import DeliveryState
from ._events import (
    AttemptEvent,
    BatchEvent,
    CloseEvent,
    Event,
    HoldEvent,
    LogEvents,
    RetryEvent,
    Stats,
)
from ._http.retry import RetryPolicy
from ._http.tokens import TokenSource
from ._journal_place import JournalPlace
from ._messages.draft import Options
from ._messages.messages import Messages
from ._preview import CountryPreview, Preview, preview
from ._rate.shared import SharedRate
from ._receipt import InvalidRecipient, Outcome, Progress, Receipt
from ._recipients.numbers import normalize
from ._recipients.recipient import Fields, Recipient, RecipientLike, Recipients
from ._shards.reading import purge_journal, read_journal
from ._text import TextSize, measure, to_gsm
from ._transaction.transaction import Transaction
from ._version import __version__
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
    JournalHeldError,
    JournalLockedError,
    JournalLostError,
    LimitReachedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RecipientsRejectedError,
    ServerError,
    SharedRateError,
    TransactionClosedError,
    UnexpectedResponseError,
)
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

if TYPE_CHECKING:
    from ._background.campaigns import Campaigns
    from ._background.status import CampaignOptions, CampaignStatus, ShardCounts, ShardEnd
    from ._delivery.statistics import DeliveryStatistics
    from ._delivery.summary import DeliveryChange, DeliverySummary, MessageDelivery
    from .callbacks._callback import Callback, parse_callback
    from .callbacks._log import CallbackLog
    from .callbacks._receiver import CallbackReceiver
    from .callbacks._signer import CallbackSigner

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
    "JournalHeldError",
    "JournalLockedError",
    "JournalLostError",
    "JournalPlace",
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
    "ShardCounts",
    "ShardEnd",
    "SharedRate",
    "SharedRateError",
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


# Loaded on first access (PEP 562): importing the package is about 10 % faster without them.
_LATER = {
    "Callback": "callbacks._callback",
    "CallbackLog": "callbacks._log",
    "CallbackReceiver": "callbacks._receiver",
    "CallbackSigner": "callbacks._signer",
    "CampaignOptions": "_background.status",
    "CampaignStatus": "_background.status",
    "Campaigns": "_background.campaigns",
    "DeliveryChange": "_delivery.summary",
    "DeliveryStatistics": "_delivery.statistics",
    "DeliverySummary": "_delivery.summary",
    "MessageDelivery": "_delivery.summary",
    "ShardCounts": "_background.status",
    "ShardEnd": "_background.status",
    "parse_callback": "callbacks._callback",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    # Only public names, so that completion in a shell or an editor offers nothing else.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
