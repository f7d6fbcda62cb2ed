"""News that the processes of one campaign in shards tell each other."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Shared"]


class Shared(NamedTuple):
    """The news of one process, or the knowledge of all together.

    - `careful`: a shard has met a double.
    - `closures`: how many messages were found closed though none of these processes closed them.
    """

    careful: bool
    closures: int
