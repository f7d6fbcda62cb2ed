"""asyncio client for Openapi's Gateway SMS: nobody is texted twice, nobody is forgotten."""

from importlib.metadata import version as _version

from ._retry import RetryPolicy
from .auth import TokenSource
from .client import GatewayClient
from .draft import Options
from .errors import (
    APIError,
    AuthenticationError,
    BulkSendError,
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
from .text import TextSize, measure, to_gsm
from .transaction import Transaction

__version__ = _version("gateway-sms-async")

__all__ = [
    "APIError",
    "AuthenticationError",
    "BulkSendError",
    "CountryPreview",
    "DeliveryError",
    "DeliveryPrice",
    "DeliveryReport",
    "DeliveryStatus",
    "Fields",
    "GatewayClient",
    "GatewayConnectionError",
    "GatewayError",
    "GatewayTimeoutError",
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
    "Message",
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
    "RetryPolicy",
    "ServerError",
    "Statistics",
    "TextSize",
    "TokenSource",
    "Transaction",
    "TransactionClosedError",
    "UnexpectedResponseError",
    "ValidCount",
    "__version__",
    "measure",
    "normalize",
    "preview",
    "purge_journal",
    "read_journal",
    "to_gsm",
]
