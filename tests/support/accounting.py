"""Checks of a receipt against the messages on the simulator's gateway."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

from gateway_sms_async import Receipt
from gateway_sms_async._recipients.numbers import normalize
from gateway_sms_async.testing import Simulator


def number(n: int) -> str:
    """Return the n-th test number, in the gateway's form."""
    return f"+39-340{n:07}"


def numbers(count: int, start: int = 0) -> list[str]:
    return [number(n) for n in range(start, start + count)]


def shows_a_number(text: str, count: int, *, message_ids: Iterable[str]) -> bool:
    """Whether one of the first `count` test numbers is in a text, with or without its country."""
    for message_id in message_ids:
        # An id may happen to contain the digits of a number.
        text = text.replace(message_id, "")
    return any(number.partition("-")[2] in text for number in numbers(count))


def parts(receipt: Receipt) -> int:
    return (
        receipt.accepted
        + len(receipt.invalid)
        + receipt.duplicates
        + receipt.excluded
        + len(receipt.doubled)
        + len(receipt.unknown)
        + len(receipt.unsent)
    )


def check_outcomes(receipt: Receipt) -> None:
    """Check that the outcomes add up to the counts of the receipt."""
    names = Counter(one.name for one in receipt.outcomes)
    assert names == Counter(
        accepted=receipt.accepted,
        invalid=len(receipt.invalid),
        duplicate=receipt.duplicates,
        excluded=receipt.excluded,
        doubled=len(receipt.doubled),
        unknown=len(receipt.unknown),
        unsent=len(receipt.unsent),
    )
    for refused in receipt.invalid:
        assert receipt.outcomes[refused.position].reason == refused.reason


def check(receipt: Receipt, simulator: Simulator, sent: set[str] | None = None) -> None:
    """Check a receipt against the ledger of a simulator that served nothing else."""
    check_ledger(receipt, simulator.ledger, sent)


def check_ledger(receipt: Receipt, ledger: Mapping[str, int], sent: set[str] | None) -> None:
    """Check a receipt against a ledger.

    `sent` are the valid numbers that were read from the source; None: they are not compared.
    """
    assert parts(receipt) == receipt.total
    check_outcomes(receipt)
    assert max(ledger.values(), default=0) <= 1, "a recipient was texted twice"
    unknown, unsent = set(receipt.unknown), set(receipt.unsent)
    assert not unknown & unsent
    assert not unsent & ledger.keys(), "a recipient reported unsent was texted"
    refused = {normalize(one.number) for one in receipt.invalid if _is_valid(one.number)}
    assert not refused & ledger.keys(), "a recipient reported invalid was texted"
    certain = ledger.keys() - unknown
    assert len(certain) == receipt.accepted, (
        "accepted differs from the recipients on closed messages"
    )
    if sent is not None:
        assert certain | unknown | unsent | refused == sent


def _is_valid(written: str) -> bool:
    try:
        normalize(written)
    except ValueError:
        return False
    return True


def tasks_of_ours() -> list[object]:
    """Return the running tasks other than the caller's and the simulator's."""
    return [
        task
        for task in asyncio.all_tasks() - {asyncio.current_task()}
        if "RequestHandler" not in repr(task.get_coro()) and "TestRunner" not in repr(task)
    ]
