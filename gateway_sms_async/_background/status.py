"""What is known of a campaign in the background, and the keywords that one is started with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple, TypedDict

from .._messages.draft import Options
from .._receipt import Progress

__all__ = ["CampaignOptions", "CampaignStatus", "ListedCampaign", "ShardCounts", "ShardEnd"]

ShardEnd = Literal["complete", "finished", "stopped", "taken", "lost", "unknown"]
"""How a worker's turn at a shard ended.

- `complete`: all of its recipients are accepted, or left out for a reason.
- `finished`: nothing more can be done for it, though some recipients were not accepted.
- `stopped`: it is to be continued later; the status of its campaign says why it stopped.
- `taken`: another worker has it.
- `lost`: another worker has taken it over meanwhile.
- `unknown`: there is no such campaign, or no such shard.
"""


class ShardCounts(NamedTuple):
    """How many shards a campaign has in a database, and in which state.

    `set_aside`: given up, because one process after the other died at it; `Campaigns.go_on` tries them
    again. The rest waits for a process.
    """

    total: int
    finished: int
    running: int
    set_aside: int


class ListedCampaign(NamedTuple):
    """A campaign as its shelf lists it.

    `held`: why nothing of it is sent, None if it may be. `shards`: None where they are not known.
    """

    name: str
    held: str | None
    shards: ShardCounts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStatus:
    """The status of a campaign.

    - `running`: it sends, or waits to. If another process runs it, `reason` says so.
    - `complete`: all recipients are accepted, or left out for a reason that the receipt names.
    - `stopped`: because of `reason`. `Campaigns.go_on` continues it, and so does the next start, unless
      it was stopped on request, or a resume cannot change anything for the recipients that are left.

    `progress` holds the latest counts, `shards` those of the shards of a campaign in a database.
    """

    state: Literal["running", "complete", "stopped"] = "running"
    reason: str | None = None
    progress: Progress = field(default_factory=Progress)
    shards: ShardCounts | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON, without any phone number."""
        values = asdict(self)
        if self.shards is not None:
            values["shards"] = self.shards._asdict()
        return values


class CampaignOptions(TypedDict, total=False):
    """The keywords of a campaign; see `GatewayClient.send_bulk`."""

    priority: float | Decimal | None
    options: Options | None
    test: bool
    batch_size: int
    concurrency: int | None
    recipients_per_message: int
    careful: bool
    verify: Literal["auto", "always"]
    total: int | None
    default_region: str | None
    strict_numbers: bool
    allow_missing_fields: bool
    exclude: Iterable[str] | None
    max_cost: Decimal | float | str | None
    max_recipients: int | None
    shards: int
