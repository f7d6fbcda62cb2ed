"""What a campaign tells its caller: the receipt, the progress, the recipients that were refused.

The lowest room of the house: everything may import it, it imports nothing of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

__all__ = ["InvalidRecipient", "Outcome", "OutcomeName", "Progress", "Receipt"]

OutcomeName = Literal[
    "accepted", "invalid", "duplicate", "excluded", "doubled", "unknown", "unsent"
]


@dataclass(frozen=True, slots=True)
class InvalidRecipient:
    """A recipient that was refused, here or by the gateway.

    `number` is the text as the caller wrote it, `position` its place in the source from 0.
    """

    number: str
    reason: str
    position: int

    def __repr__(self) -> str:
        return f"InvalidRecipient(reason={self.reason!r}, position={self.position})"


class Outcome(NamedTuple):
    """What became of one recipient.

    `message_id` is the message that it is on, may be on, or was refused with; None where there is
    none. `reason` says why it is invalid, else None.
    """

    name: OutcomeName
    message_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a campaign is: counts of recipients, seconds, recipients a second.

    `total` is what the caller announced (None when unknown). `accepted` moves when a message is
    closed; `rate` counts recipients that the gateway has acknowledged or that were refused, a
    second since the start; `eta` is the seconds left at that rate (None while not to be known).
    """

    total: int | None = None
    read: int = 0
    accepted: int = 0
    invalid: int = 0
    duplicates: int = 0
    unknown: int = 0
    unsent: int = 0
    elapsed: float = 0.0
    rate: float = 0.0
    eta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of every recipient taken from the source.

    Always `accepted + len(invalid) + duplicates + excluded + len(doubled) + len(unknown) +
    len(unsent) == total`.

    - `total`: recipients taken from the source.
    - `accepted`: on a closed message exactly once; they go out.
    - `invalid`: refused, with the reason and the place in the source.
    - `duplicates`, `excluded`: counts of recipients left out on purpose.
    - `doubled`: numbers seen twice on a closed message.
    - `unknown`: numbers whose fate could not be known. Do not simply send to them again.
    - `unsent`: numbers proven to be on no closed message: safe to send to again.
    - `message_ids`: closed messages; `open_message_ids`: messages left open, which never send
      by themselves.
    - `requests`, `retries`: what it took on the wire; `elapsed` in seconds.
    - `cost`: the sum of the prices that the gateway named, None when it named none.
    - `complete`: the whole source was taken and nothing is unknown, unsent or doubled.
    - `outcomes`: one `Outcome` for each recipient taken, in the order of the source, at four bytes
      each; `to_dict` leaves it out.
    """

    total: int = 0
    accepted: int = 0
    invalid: Sequence[InvalidRecipient] = ()
    duplicates: int = 0
    excluded: int = 0
    doubled: Sequence[str] = ()
    unknown: Sequence[str] = ()
    unsent: Sequence[str] = ()
    message_ids: Sequence[str] = ()
    open_message_ids: Sequence[str] = ()
    requests: int = 0
    retries: int = 0
    elapsed: float = 0.0
    cost: Decimal | None = None
    complete: bool = False
    outcomes: Sequence[Outcome] = ()

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON, numbers whole; `cost` becomes text to stay exact."""
        return {
            "total": self.total,
            "accepted": self.accepted,
            "invalid": [
                {"number": one.number, "reason": one.reason, "position": one.position}
                for one in self.invalid
            ],
            "duplicates": self.duplicates,
            "excluded": self.excluded,
            "doubled": list(self.doubled),
            "unknown": list(self.unknown),
            "unsent": list(self.unsent),
            "message_ids": list(self.message_ids),
            "open_message_ids": list(self.open_message_ids),
            "requests": self.requests,
            "retries": self.retries,
            "elapsed": self.elapsed,
            "cost": None if self.cost is None else str(self.cost),
            "complete": self.complete,
        }

    def __repr__(self) -> str:
        return (
            f"Receipt(total={self.total}, accepted={self.accepted}, invalid={len(self.invalid)}, "
            f"duplicates={self.duplicates}, excluded={self.excluded}, "
            f"doubled={len(self.doubled)}, unknown={len(self.unknown)}, "
            f"unsent={len(self.unsent)}, complete={self.complete})"
        )
