"""What processes that run shards of one campaign tell each other."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given, strategies as st

from gateway_sms_async._shards.learned import Learned
from gateway_sms_async._shards.shared import Shared


class Store:
    """What all processes know."""

    def __init__(self, before: int) -> None:
        self.known = Shared(careful=False, closures=before)

    def exchange(self, news: Shared) -> Shared:
        careful = self.known.careful or news.careful
        self.known = Shared(careful, self.known.closures + news.closures)
        return self.known


class Process:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.learned = Learned(())
        self.own = 0
        self.exchange()

    def exchange(self) -> None:
        told = self.learned.news()
        self.learned.heard(told, self._store.exchange(told))

    def finds_closed(self, count: int) -> None:
        """Do what a shard does that finds messages closed by others."""
        self.own += count
        self.learned.siblings_of(0).closures.count += count

    def meets_a_double(self) -> None:
        ended: Any = SimpleNamespace(careful=True, spent=None)
        self.learned.ended(0, ended)

    @property
    def known(self) -> int:
        return self.learned.siblings_of(0).closures.count


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["exchange", "closed", "double"])), max_size=30
)


@given(st.integers(0, 3), STEPS)
def test_all_know_what_one_has_seen_and_nothing_twice(
    before: int, steps: list[tuple[int, str]]
) -> None:
    store = Store(before)
    processes = [Process(store) for _ in range(3)]
    doubled = False
    for at, step in steps:
        process = processes[at]
        if step == "closed":
            process.finds_closed(2)
        elif step == "double":
            doubled = True
            process.meets_a_double()
        else:
            process.exchange()
        total = sum(one.own for one in processes)
        assert all(one.own <= one.known <= total for one in processes)
    for _ in range(2):
        for process in processes:
            process.exchange()
    total = sum(one.own for one in processes)
    assert [one.known for one in processes] == [total] * 3
    assert [one.learned.careful for one in processes] == [doubled] * 3
    assert store.known == Shared(doubled, before + total)
    # Nothing is new any more.
    assert [one.learned.news() for one in processes] == [Shared(careful=False, closures=0)] * 3
