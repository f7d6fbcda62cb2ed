"""What the processes that run shards of one campaign tell each other."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Shared"]


class Shared(NamedTuple):
    """What one process tells, or what all of them know together.

    - `careful`: a shard has met a double.
    - `closures`: how many messages were found closed though none of these processes closed them.
    """

    careful: bool
    closures: int
