"""What a campaign would do and cost, before anything is spent.

Reads the recipients as a campaign would, counts, and sends nothing. Makes requests only if it is
given a client, and then only test sends, to learn what a part costs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple

from ._arguments import (
    check_cost,
    check_number,
)
from ._campaign.start import CampaignSettings
from ._client import GatewayClient
from ._messages.draft import Draft, Options
from ._receipt import InvalidRecipient
from ._recipients.batches import Batch, Batcher
from ._recipients.numbers import calling_code
from ._recipients.recipient import Recipient, Recipients
from ._recipients.source import Source
from ._template import fill
from ._text import Encoding, TextSize, measure, not_gsm, to_gsm
from ._transaction.reconcile import sizes_tell_apart
from ._transaction.tuning import shrinking
from .errors import RecipientsRejectedError
from .models import Message

__all__ = ["CountryPreview", "Preview", "preview"]

_SLICE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryPreview:
    """The recipients under one calling code. `price_per_part` is in euro, None if not known."""

    recipients: int = 0
    parts: int = 0
    price_per_part: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a campaign would do.

    - `total`: recipients in the source; `recipients`: those that would be sent to, each once;
      `invalid`: those that would be refused, with reason and position; `duplicates` and
      `excluded`: counts.
    - `countries`: by calling code, `"+39"`, the one with the most recipients first.
    - `parts`: SMS parts in all; `spread`: recipients by the number of parts that each takes;
      `encodings`: recipients by the encoding of their text.
    - `longest`: the size of the longest text, and `longest_position` its position in the source;
      both None if there are no recipients.
    - `not_gsm`: the characters that force UCS-2, each with the number of recipients whose text has
      it; `parts_in_gsm`: the parts in all if typographic characters were replaced (`to_gsm`).
    - `messages`, `requests`: the number that a campaign without failures takes.
    - `seconds`: the time that the rate allows for these requests, and the minute between realtime
      messages; None if neither applies.
    - `cost`: all parts at their price, in euro; None if a price is not known.
    """

    total: int = 0
    recipients: int = 0
    invalid: Sequence[InvalidRecipient] = ()
    duplicates: int = 0
    excluded: int = 0
    countries: Mapping[str, CountryPreview] = field(default_factory=dict[str, CountryPreview])
    parts: int = 0
    spread: Mapping[int, int] = field(default_factory=dict[int, int])
    encodings: Mapping[Encoding, int] = field(default_factory=dict[Encoding, int])
    longest: TextSize | None = None
    longest_position: int | None = None
    not_gsm: Mapping[str, int] = field(default_factory=dict[str, int])
    parts_in_gsm: int = 0
    messages: int = 0
    requests: int = 0
    seconds: float | None = None
    cost: Decimal | None = None


async def preview(
    recipients: Recipients,
    *,
    sender: str,
    body: str,
    priority: float | Decimal | None = None,
    options: Options | None = None,
    default_region: str | None = None,
    strict_numbers: bool = False,
    allow_missing_fields: bool = False,
    exclude: Iterable[str] | None = None,
    batch_size: int = 500,
    recipients_per_message: int = 20_000,
    careful: bool = False,
    verify: Literal["auto", "always"] = "auto",
    rate: float | None = 10.0,
    price_per_part: Decimal | float | str | None = None,
    gateway: GatewayClient | None = None,
    on_read: Callable[[int], object] | None = None,
) -> Preview:
    """Preview a campaign: count, measure and price its texts without sending any.

    ```python
    plan = await preview(recipients, sender="ACME", body="Ciao", price_per_part="0.04")
    print(plan.recipients, plan.parts, plan.cost, plan.seconds)
    print([(one.position, one.reason) for one in plan.invalid])
    ```

    The arguments are those of `send_bulk`, and these:

    - `rate`: requests per second, as of the client that will send.
    - `price_per_part`: in euro. Without it, but with a `gateway`, one send with `test=True` for
      each country asks what a part costs there. (`POST /messages/`)
    - `on_read`: called from time to time with the number of recipients read.

    Raises ValueError and TypeError as `send_bulk` does, and a GatewayError if the gateway does
    not answer what a part costs.
    """
    settings = CampaignSettings(
        sender=sender,
        body=body,
        priority=priority,
        options=options,
        batch_size=batch_size,
        recipients_per_message=recipients_per_message,
        careful=careful,
        verify=verify,
        default_region=default_region,
        strict_numbers=strict_numbers,
        allow_missing_fields=allow_missing_fields,
        exclude=exclude,
    )
    if rate is not None and not check_number("rate", rate) > 0:
        raise ValueError("rate is a positive number of requests a second, or None for no limit")
    price = None if price_per_part is None else check_cost("price_per_part", price_per_part)
    source = Source(recipients)
    batcher = await settings.batcher()
    count = _Count(settings.draft)
    async for batch in _batches(source, batcher):
        count.add(batch)
        if on_read is not None:
            on_read(batcher.total)
    prices = dict.fromkeys(count.countries, price)
    if price is None and gateway is not None:
        simulate = partial(
            gateway.messages.send, sender=sender, body=body, priority=priority, options=options
        )
        prices = {
            code: await _ask_price(simulate, samples) for code, samples in count.samples.items()
        }
    return _conclude(batcher, count, prices, _Plan(settings), rate)


async def _batches(source: Source, batcher: Batcher) -> AsyncIterator[Batch]:
    while not source.exhausted:
        items = await source.ready()
        at_end = False
        while not at_end:
            batch = Batch()
            at_end = batcher.fill(items, batch, _SLICE)
            if batch:
                yield batch
            await asyncio.sleep(0)
        source.drained()


class _Sample(NamedTuple):
    """A recipient in a country, and the parts that its text takes."""

    recipient: Recipient
    parts: int


_SAMPLES = 3
"""Recipients of a country to ask the price for: the gateway may refuse the first."""


class _Count:
    """Adds up the sizes of the texts of valid recipients."""

    def __init__(self, draft: Draft) -> None:
        self._body = draft.body
        self._placeholders = draft.placeholders
        self._plain = _Text(draft.body)
        self.recipients = 0
        self.parts = 0
        self.parts_in_gsm = 0
        self.countries: Counter[str] = Counter()
        self.parts_by_country: Counter[str] = Counter()
        self.samples: dict[str, list[_Sample]] = {}
        self.spread: Counter[int] = Counter()
        self.encodings: Counter[Encoding] = Counter()
        self.not_gsm: Counter[str] = Counter()
        self.longest: tuple[TextSize, int] | None = None

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.recipients += len(batch)
        codes = list(map(calling_code, batch.numbers))
        for code, recipients in Counter(codes).items():
            self.countries[code] += recipients
            self._choose_samples(code, codes, batch)
        if self._placeholders:
            for at, code in enumerate(codes):
                text = _Text(fill(self._body, batch.fields.get(at)))
                self._add_text(text, 1, batch.positions[at])
                self.parts_by_country[code] += text.size.parts
            return
        self._add_text(self._plain, len(batch), batch.positions[0])
        for code in codes:
            self.parts_by_country[code] += self._plain.size.parts

    def _add_text(self, text: _Text, recipients: int, position: int) -> None:
        size = text.size
        self.parts += size.parts * recipients
        self.parts_in_gsm += text.parts_in_gsm * recipients
        self.spread[size.parts] += recipients
        self.encodings[size.encoding] += recipients
        for character in text.not_gsm:
            self.not_gsm[character] += recipients
        if self.longest is None or _length(size) > _length(self.longest[0]):
            self.longest = size, position

    def _choose_samples(self, code: str, codes: Sequence[str], batch: Batch) -> None:
        samples = self.samples.setdefault(code, [])
        if len(samples) == _SAMPLES:
            return
        places = (at for at, one in enumerate(codes) if one == code)
        for at in islice(places, _SAMPLES - len(samples)):
            # A single send needs a value for every placeholder, and a text that can be seen.
            fields = batch.fields.get(at)
            if self._placeholders:
                fields = dict.fromkeys(self._placeholders, "-") | (fields or {})
            parts = measure(fill(self._body, fields)).parts
            samples.append(_Sample(Recipient(batch.numbers[at], fields), parts))


class _Text:
    """One text, measured."""

    __slots__ = ("not_gsm", "parts_in_gsm", "size")

    def __init__(self, text: str) -> None:
        self.size = measure(text)
        self.not_gsm: tuple[str, ...] = ()
        self.parts_in_gsm = self.size.parts
        if self.size.encoding != "GSM-7":
            self.not_gsm = not_gsm(text)
            self.parts_in_gsm = measure(to_gsm(text)).parts


def _length(size: TextSize) -> tuple[int, int]:
    return size.parts, size.units


class _Plan:
    """How many messages and requests a campaign without failures takes, and how long."""

    def __init__(self, settings: CampaignSettings) -> None:
        size, per_message = settings.batch_size, settings.recipients_per_message
        self._batch_size = size
        self._verify_always = settings.verify_always
        self._a_minute_apart = settings.draft.is_realtime
        most = size + shrinking(size, 1)
        self._per_message = min(per_message, most) if settings.careful else per_message

    def count(self, recipients: int) -> tuple[int, int]:
        """Return (messages, requests)."""
        full, rest = divmod(recipients, self._per_message)
        messages = full + bool(rest)
        return messages, full * self._requests(self._per_message) + self._requests(rest)

    def _requests(self, recipients: int) -> int:
        """Return the requests of one message.

        One for each batch (at least a POST and a PUT), and a look before and after the close.
        """
        if not recipients:
            return 0
        sizes: list[int] = []
        while recipients > sum(sizes):
            sizes.append(min(shrinking(self._batch_size, len(sizes)), recipients - sum(sizes)))
        # A list before the close and one after, each with another look.
        listed = self._verify_always or not sizes_tell_apart(sizes)
        return max(len(sizes), 2) + 2 + 4 * listed

    def seconds(self, messages: int, requests: int, rate: float | None) -> float | None:
        """Return the seconds that they take at this rate; None if nothing limits them."""
        minutes = max(0, messages - 1) * self._a_minute_apart
        if rate is None:
            return minutes * 60.0 or None
        return max(max(0, requests - 1) / rate, minutes * 60.0)


async def _ask_price(
    simulate: Callable[..., Awaitable[Message]], samples: Sequence[_Sample]
) -> Decimal | None:
    """Return what a part costs, by a test send to the first recipient that is not refused."""
    for sample in samples:
        try:
            message = await simulate(recipients=sample.recipient, test=True)
        except RecipientsRejectedError:
            continue
        return None if message.price is None else message.price / sample.parts
    return None


def _conclude(
    batcher: Batcher,
    count: _Count,
    prices: Mapping[str, Decimal | None],
    plan: _Plan,
    rate: float | None,
) -> Preview:
    messages, requests = plan.count(count.recipients)
    countries = {
        code: CountryPreview(
            recipients=recipients, parts=count.parts_by_country[code], price_per_part=prices[code]
        )
        for code, recipients in count.countries.most_common()
    }
    costs = [_cost(country) for country in countries.values()]
    known = [cost for cost in costs if cost is not None]
    return Preview(
        total=batcher.total,
        recipients=count.recipients,
        invalid=tuple(batcher.invalid),
        duplicates=batcher.duplicates,
        excluded=batcher.excluded,
        countries=countries,
        parts=count.parts,
        spread=dict(sorted(count.spread.items())),
        encodings=dict(count.encodings),
        longest=None if count.longest is None else count.longest[0],
        longest_position=None if count.longest is None else count.longest[1],
        not_gsm=dict(count.not_gsm.most_common()),
        parts_in_gsm=count.parts_in_gsm,
        messages=messages,
        requests=requests,
        seconds=plan.seconds(messages, requests, rate),
        cost=sum(known, Decimal()) if known and len(known) == len(costs) else None,
    )


def _cost(country: CountryPreview) -> Decimal | None:
    price = country.price_per_part
    return None if price is None else price * country.parts
