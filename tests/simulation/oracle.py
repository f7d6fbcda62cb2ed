"""Compares receipts with the ledger, which alone knows the numbers that were texted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway_sms_async import Receipt

from .plan import Ceiling, Schedule


def key_of(number: str) -> str:
    return "".join(filter(str.isdigit, number))


class Oracle:
    """Compares receipts with the ledger. It knows the source, but no internals of the library."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._needs_fields = "{{" in schedule.body and not schedule.allow_missing_fields
        self._by_gateway = {key_of(number) for number in schedule.unroutable}
        self._no_objects = dict(schedule.dialect).get("object_lists") is False
        self.repeated = dict(schedule.dialect).get("repeat_puts") is True
        self.closed_by_others = False
        self.closed_late: set[str] = set()
        """Numbers that a copy of a refused close has texted since the last process looked."""
        self._ceiling = schedule.ceiling or Ceiling()

    def _recipients(self, total: int) -> tuple[set[int], int, dict[str, int]]:
        """Return positions refused locally, the number of repeats, and the other positions by key."""
        refused: set[int] = set()
        repeats = 0
        places: dict[str, int] = {}
        for position, item in enumerate(self._schedule.source[:total]):
            if item.number is None or (self._needs_fields and item.fields is None):
                refused.add(position)
            elif key_of(item.number) in places:
                repeats += 1
            else:
                places[key_of(item.number)] = position
        return refused, repeats, places

    def raise_ceiling(self, raised: Ceiling) -> None:
        """Expect the higher one of two ceilings: what was texted before a resume stays texted."""
        before = self._ceiling
        recipients, cost = before.recipients, before.cost
        if recipients is not None and raised.recipients is not None:
            recipients = max(recipients, raised.recipients)
        if cost is not None and raised.cost is not None:
            cost = max(cost, raised.cost)
        self._ceiling = Ceiling(recipients=recipients, cost=cost)

    def check_ceiling(self, ledger: Mapping[str, int]) -> Iterator[str]:
        """Yield whether more were texted than the campaign may text."""
        if self.closed_by_others or self.repeated:
            return
        texted, price = sum(ledger.values()), self._schedule.price
        most, cost = self._ceiling.recipients, self._ceiling.cost
        if most is not None and texted > most:
            yield f"{texted} were texted, of {most} at most"
        parts = 1  # of the short texts that are drawn
        if cost is not None and texted and (price <= 0 or texted * parts * price > cost):
            yield f"{texted} were texted at {price} each, for {cost} at most"

    def check_doubles(self, ledger: Mapping[str, int], receipt: Receipt | None) -> Iterator[str]:
        """Yield numbers texted twice; behind a repeating proxy, only those the receipt omits."""
        yield from self.check_ceiling(ledger)
        twice = {key_of(number) for number, times in ledger.items() if times > 1}
        if twice and self.repeated and self._schedule.mode != "careful":
            if receipt is None:
                return
            twice -= {key_of(number) for number in (*receipt.doubled, *receipt.unknown)}
        if twice:
            yield f"texted twice: {sorted(twice)}"

    def check(self, receipt: Receipt, ledger: Mapping[str, int]) -> Iterator[str]:
        """Yield where a receipt does not account for each recipient once, as the ledger has it."""
        yield from self.check_doubles(ledger, receipt)
        texted = {key_of(number) for number in ledger}
        refused, repeats, places = self._recipients(receipt.total)
        if not 0 <= receipt.total <= len(self._schedule.source):
            yield f"total {receipt.total} of a source of {len(self._schedule.source)}"
        named = {
            name: [key_of(number) for number in getattr(receipt, name)]
            for name in ("doubled", "unknown", "unsent")
        }
        rest = len(receipt.invalid) + receipt.duplicates + receipt.excluded
        parts = receipt.accepted + rest + sum(map(len, named.values()))
        if parts != receipt.total:
            yield f"the parts add up to {parts}, not to {receipt.total}"
        if receipt.duplicates != repeats or receipt.excluded:
            yield f"{receipt.duplicates} duplicates, {receipt.excluded} excluded of {repeats} repeats"
        yield from self._check_invalid(receipt, refused, places, texted)
        invalid = {one.position for one in receipt.invalid}
        left = {key for key, place in places.items() if place not in invalid}
        for name, keys in named.items():
            if len(set(keys)) != len(keys) or not left.issuperset(keys):
                yield f"{name} names a recipient twice, or one of another part, or an unknown one"
            left -= set(keys)
        if sent := texted.intersection(named["unsent"]) - self.closed_late:
            yield f"texted though reported unsent: {sorted(sent)}"
        if len(left) != receipt.accepted:
            yield f"accepted {receipt.accepted}, but {len(left)} remain"
        if missing := left - texted:
            yield f"not texted though reported accepted: {sorted(missing)}"
        if (
            unknown_texts := texted
            - left
            - set(named["doubled"])
            - set(named["unknown"])
            - invalid_keys(places, invalid)
            - set(named["unsent"])
        ):
            yield f"texted, and in no part of the receipt: {sorted(unknown_texts)}"
        yield from self._check_outcomes(receipt, refused | invalid, places, named)
        if receipt.complete and (named["unknown"] or named["unsent"] or named["doubled"]):
            yield "complete, though a recipient is unknown, unsent or doubled"

    def _check_outcomes(
        self,
        receipt: Receipt,
        invalid: set[int],
        places: Mapping[str, int],
        named: Mapping[str, list[str]],
    ) -> Iterator[str]:
        """Yield where the outcomes differ from the counts and the names."""
        expected = ["duplicate"] * receipt.total
        for key, place in places.items():
            found = [name for name, keys in named.items() if key in keys]
            expected[place] = found[0] if found else "accepted"
        for place in invalid:
            expected[place] = "invalid"
        outcomes = [one.name for one in receipt.outcomes]
        if outcomes != expected:
            yield f"the outcomes are {outcomes}, not {expected}"
        for one in receipt.outcomes:
            if (one.reason is not None) != (one.name == "invalid"):
                yield f"{one.name} for the reason {one.reason}"
            if one.name == "accepted" and one.message_id not in receipt.message_ids:
                yield f"{one.name} on a message that is not closed"

    def _check_invalid(
        self, receipt: Receipt, refused: set[int], places: Mapping[str, int], texted: set[str]
    ) -> Iterator[str]:
        positions = [one.position for one in receipt.invalid]
        if len(set(positions)) != len(positions):
            yield "invalid names a position twice"
        if not refused <= set(positions):
            yield f"not reported invalid: positions {sorted(refused - set(positions))}"
        source = self._schedule.source
        for one in receipt.invalid:
            if one.position >= len(source) or source[one.position].text != one.number:
                yield f"invalid at position {one.position} is not the item at that position"
            elif one.position not in refused:
                key = key_of(source[one.position].number or "")
                if places.get(key) != one.position:
                    yield f"reported invalid at position {one.position}, which is a repeat"
                elif key in texted:
                    yield f"texted though reported invalid: {key}"
                elif key not in self._by_gateway and not self._no_objects:
                    yield f"reported invalid, but not by the gateway: {key}"


def invalid_keys(places: Mapping[str, int], invalid: set[int]) -> set[str]:
    return {key for key, place in places.items() if place in invalid}
