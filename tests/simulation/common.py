"""Draws the parts of a schedule that every campaign has."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from .matrix import KINDS, KNOBS, OPERATIONS, RARITY
from .plan import Interruption, Item, Schedule


def pick(rng: Random, chances: Mapping[Any, float]) -> Any:
    return rng.choices(list(chances), list(chances.values()))[0]


_MALFORMED = ("", "340 1234567", "+39", "ciao", "+44 (0)7911 123456", "+999 12345678")


def _draw_source(rng: Random, *, with_fields: float) -> tuple[Item, ...]:
    size = pick(rng, {rng.randint(0, 3): 3, rng.randint(4, 12): 4, rng.randint(13, 40): 3})
    first = rng.randrange(1_000_000)
    items: list[Item] = []
    for n in range(size):
        chance = rng.random()
        if chance < 0.04:
            items.append(Item(rng.choice(_MALFORMED), None, "str", None))
            continue
        place = rng.randrange(n) if chance < 0.12 and n else n
        digits = f"{first + place:07}"
        number = f"+39-340{digits}"
        text = number if chance > 0.3 else f"0039 340 {digits}"
        fields = (("name", f"N{n}"),) if rng.random() < with_fields else None
        items.append(Item(text, fields, rng.choice(("str", "recipient")), number))
    return tuple(items)


def _draw_dialect(rng: Random) -> tuple[tuple[str, Any], ...]:
    if rng.random() < 0.6:
        return ()
    names = rng.sample(sorted(KNOBS), rng.randint(1, 4))
    return tuple((name, rng.choice(KNOBS[name])) for name in names)


def draw_interruption(rng: Random, *, journal: bool, may_be_none: float) -> Interruption | None:
    if rng.random() < may_be_none:
        return None
    ways = {"cancel": 2, "timeout": 1, "scope": 1, "stop": 2, "aclose": 1, "raise": 1}
    if journal:
        ways |= {"kill": 12, "fail": 1, "raise": 3}
    how = pick(rng, ways)
    if how == "raise":
        return Interruption(
            how=how,
            at=rng.choice(("answer", "commit")) if journal else "answer",
            when=rng.randint(1, 14),
            side=rng.choice(("before", "after")) if journal else "before",
            error=rng.choice(("memory", "base")),
        )
    if how in {"kill", "fail"}:
        at = "commit" if how == "fail" else rng.choice(("commit", "request"))
        side = rng.choice(("before", "after"))
        return Interruption(
            how=how, at=at, when=rng.randint(1, 14), side=side, lag=rng.choice((0, 1, 3, 8))
        )
    if how == "timeout" or rng.random() < 0.4:
        return Interruption(
            how=how, at="time", when=round(rng.expovariate(1 / rng.choice((0.3, 6, 60))), 3)
        )
    return Interruption(how=how, at="round", when=rng.randint(1, rng.choice((30, 200, 600))))


def draw_common(seed: int) -> Schedule:
    """Draw the parts of a schedule that every campaign has."""
    rng = Random(seed)
    body, with_fields = "Ciao", 0.0
    if rng.random() < 0.25:
        body, with_fields = "Ciao {{name}}", rng.choice((0.8, 1.0))
    source = _draw_source(rng, with_fields=with_fields)
    journal = rng.random() < 0.5
    processes = 1 if not journal else pick(rng, {1: 4, 2: 3, 3: 2, 4: 1})
    most = max(1, len(source) // 6)
    kinds = [name for name, kind in KINDS.items() if not kind.rare or rng.random() < RARITY]
    targets = OPERATIONS
    dialect = _draw_dialect(rng)
    alone = rng.random() < 0.15
    if alone:
        # One recipient per message: only this leads to single sends, most deletes, and recovery by list.
        source, processes = source[:6], min(processes, 2)
        dialect = (*(knob for knob in dialect if knob[0] != "empty_close"), ("empty_close", False))
    numbers = sorted({item.number for item in source if item.number is not None})
    unroutable = numbers and rng.random() < 0.25
    if rng.random() < 0.5:
        kinds = rng.sample(kinds, rng.randint(1, 6))
    if rng.random() < 0.3:
        targets = tuple(rng.sample(OPERATIONS, rng.randint(1, 4)))
    return Schedule(
        seed=seed,
        source=source,
        asynchronous=rng.random() < 0.3,
        pace=pick(rng, {0.0: 4, 0.01: 1, 1.0: 1}),
        body=body,
        allow_missing_fields=rng.random() < 0.3,
        unroutable=tuple(rng.sample(numbers, rng.randint(1, min(4, len(numbers)))))
        if unroutable
        else (),
        batch_size=rng.randint(most, max(most, pick(rng, {most: 3, most + 3: 3, 40: 1}))),
        concurrency=rng.randint(1, 4),
        recipients_per_message=1
        if alone
        else pick(rng, {20_000: 4, rng.randint(most, 40): 4, rng.randint(1, 5) * most: 2}),
        mode=pick(rng, {"plain": 5, "careful": 3, "verify": 2}),
        journal=journal,
        journal_rounds=pick(rng, {0: 2, 1: 1, 5: 1, 30: 1}),
        rate=pick(rng, {None: 3, 10.0: 1, 1.0: 0.3}),
        timeout=pick(rng, {5.0: 2, 30.0: 2}),
        max_attempts=pick(rng, {1: 1, 2: 1, 5: 4}),
        max_elapsed=pick(rng, {10.0: 1, 120.0: 3}),
        dialect=dialect,
        share=pick(rng, {0.0: 1, 0.02: 2, 0.06: 3, 0.15: 3, 0.3: 2, 0.6: 1}),
        kinds=tuple(kinds),
        targets=targets,
        delay=pick(rng, {0.0: 4, 0.05: 2, 1.0: 2, 6.0: 1}),
        processes=tuple(
            draw_interruption(rng, journal=journal, may_be_none=0.6 if not journal else 0.3)
            for _ in range(processes)
        ),
    )
