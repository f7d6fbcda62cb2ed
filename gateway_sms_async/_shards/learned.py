"""What the shards of a campaign learn from each other: what was spent, doubles, and closes by others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .._campaign.campaign import Campaign
from .._campaign.resume import Siblings
from .._transaction.spending import Spent, sum_spent
from .._transaction.tuning import Closures
from .account import ShardAccount
from .shared import Shared

__all__ = ["Learned"]


class Learned:
    """What is known of all shards, first from their journals, then from each that has ended.

    `careful`: a shard has met a double.
    """

    def __init__(self, accounts: Sequence[ShardAccount]) -> None:
        self._spent: dict[int, Spent] = {shard: one.spent for shard, one in enumerate(accounts)}
        self.careful: bool = any(one.careful for one in accounts)
        self._closures = Closures()
        # After how many of the closures the messages of a shard were looked at.
        self._seen: dict[int, int] = {}
        # Of the closures, how many other processes have seen, and how many of the rest they know of.
        self._of_others = 0
        self._told = 0
        self._all_are_careful = False
        # What all processes had seen before this one began.
        self._before: int | None = None

    def read(self, shard: int, account: ShardAccount) -> None:
        """Learn from the journal of a shard that another process runs, or has finished."""
        self._spent[shard] = account.spent
        self.careful = self.careful or account.careful

    def ended(self, shard: int, campaign: Campaign) -> None:
        """Learn from a shard that has ended here."""
        self._spent[shard] = campaign.spent
        self.careful = self.careful or campaign.careful
        self._seen[shard] = self._closures.count

    def siblings_of(self, shard: int) -> Siblings:
        """Return what a shard has to know of the others."""
        others = (spent for other, spent in self._spent.items() if other != shard)
        return Siblings(spent=sum_spent(others), careful=self.careful, closures=self._closures)

    def unseen(self) -> Iterator[int]:
        """Yield the shards whose open messages nobody has looked at since others closed one."""
        for shard in self._spent:
            if self._seen.get(shard, 0) < self._closures.count:
                yield shard

    # Between processes

    def news(self) -> Shared:
        """Return what other processes do not know yet."""
        careful = self.careful and not self._all_are_careful
        return Shared(careful, self._closures.count - self._of_others - self._told)

    def heard(self, told: Shared, known: Shared) -> None:
        """Learn what all processes know, among it what was `told` to them."""
        self.careful = self.careful or known.careful
        self._all_are_careful = known.careful
        self._told += told.closures
        if self._before is None:
            self._before = known.closures - told.closures
        of_others = known.closures - self._before - self._told
        self._closures.count += of_others - self._of_others
        self._of_others = of_others
