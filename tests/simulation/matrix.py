"""The faults of each kind of request, and the dialects of the gateway, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway_sms_async.testing import Fault

OPERATIONS = (
    "open",
    "append",
    "close",
    "send",
    "get",
    "recipients",
    "list",
    "delete",
    "recipient",
)
READS = frozenset({"get", "recipients", "list", "recipient"})
WRITES = frozenset(OPERATIONS) - READS
PUTS = frozenset({"append", "close"})

MIXED_UP = frozenset({"open", "send", "get", "recipients"})
"""Operations whose response may be another one's: the client can tell, by an id or a reference."""

Cell = tuple[str, str, str]
"""Operation, kind of fault, and whether it occurs before or after the request is applied."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how to create it, which operations it may affect, and when.

    Two assumptions are never broken: a complete refusal has applied nothing of the copy that was
    refused, and a DELETE that succeeds has deleted the message. A proxy may repeat a close, so that
    the first copy is applied and the second one refused. It does not repeat a POST.
    """

    make: Callable[[Random, bool], Fault]
    sides: tuple[str, ...] = ("before", "after")
    on: frozenset[str] = frozenset(OPERATIONS)
    after_on: frozenset[str] = frozenset(OPERATIONS)
    rare: bool = False

    def sides_of(self, operation: str) -> tuple[str, ...]:
        """Return when it may affect this operation."""
        if operation in self.after_on:
            return self.sides
        return tuple(side for side in self.sides if side == "before")


def _refusal(code: int, error: int | None = None, wait: float | None = None) -> Kind:
    return Kind(
        lambda _, after: Fault.status(code, error, retry_after=wait, after_apply=after),
        after_on=frozenset({"close"}),
    )


def _status(code: int, *, envelope: bool = True, wait: float | None = None) -> Kind:
    return Kind(
        lambda _, after: Fault.status(code, envelope=envelope, retry_after=wait, after_apply=after)
    )


def _plain(make: Callable[..., Fault], **more: Any) -> Kind:
    return Kind(lambda _, after: make(after_apply=after), **more)


def _page(code: int) -> Kind:
    return Kind(lambda _, after: Fault.html(code, after_apply=after))


def _partial(then: Callable[[], Fault | None]) -> Kind:
    return Kind(
        lambda _, __: Fault.partial(then=then()), ("after",), frozenset(WRITES - {"delete"})
    )


_STRAYS: tuple[Callable[[float], Fault], ...] = (
    lambda seconds: Fault.stray(408, b"<html>408</html>", seconds=seconds),
    lambda seconds: Fault.stray(None, seconds=seconds),
    lambda seconds: Fault.stray(401, _REFUSED, seconds=seconds),
    lambda seconds: Fault.stray(422, _REFUSED, seconds=seconds),
)
_REFUSED = b'{"success": false, "message": "refused", "error": 302, "data": null}'

_FINAL = ((400, 400), (402, 201), (403, 403))

_DELAYS = (0.3, 2.0, 8.0, 31.0, 70.0, 200.0, 600.0)

KINDS: dict[str, Kind] = {
    "reset": _plain(Fault.reset),
    "close": _plain(Fault.close),
    "hang": _plain(Fault.hang),
    "truncate": _plain(Fault.truncate),
    "invalid json": _plain(Fault.invalid_json),
    "empty": _plain(Fault.empty),
    "double encoded": _plain(Fault.double_encoded, sides=("after",)),
    "drip": Kind(lambda rng, after: Fault.drip(rng.choice((1.0, 5.0)), after_apply=after)),
    "late": Kind(lambda rng, _: Fault.late(rng.choice(_DELAYS)), ("before",), WRITES),
    "lost": Kind(lambda _, __: Fault.lost(), ("before",), WRITES - {"delete"}),
    "partial": _partial(lambda: None),
    "partial, reset": _partial(lambda: Fault.reset(after_apply=True)),
    "partial, 500": _partial(lambda: Fault.status(500, after_apply=True)),
    "page 200": _page(200),
    "page 403": _page(403),
    "page 404": _page(404),
    "page 502": _page(502),
    "400": _refusal(400),
    "401": _refusal(401),
    "402": _refusal(402, 201),
    "403": _refusal(403),
    "404": dataclasses.replace(_refusal(404, 203), on=frozenset({"close"})),
    "406": _refusal(406, 210),
    "408": _status(408, envelope=False),
    "413": _refusal(413),
    "422": _refusal(422),
    "422/212": dataclasses.replace(_refusal(422, 212), on=PUTS),
    "422/221": dataclasses.replace(_refusal(422, 221), on=frozenset({"delete"})),
    "429": _refusal(429),
    "429, wait": _refusal(429, wait=17),
    "500": _status(500),
    "500, plain": _status(500, envelope=False),
    "503, wait": _status(503, wait=9),
    "504": _status(504, envelope=False),
    "redirect": Kind(lambda _, after: Fault.redirect("http://localhost/", after_apply=after)),
    "oversized": _plain(Fault.oversized, rare=True),
    "gzip bomb": _plain(Fault.gzip_bomb, rare=True),
    "repeat": Kind(lambda rng, _: Fault.repeat(rng.choice((0.0, *_DELAYS))), ("after",), PUTS),
    "repeat soon": Kind(lambda _, __: Fault.repeat(0.15), ("after",), frozenset({"append"})),
    "mixed up": Kind(lambda _, __: Fault.mixed_up(), ("after",), MIXED_UP),
    "copy held": Kind(lambda rng, _: Fault.status(*rng.choice(_FINAL)), on=frozenset({"close"})),
    "closed by others": Kind(
        lambda _, __: Fault.closed_by_others(), ("before",), frozenset({"append", "close", "get"})
    ),
    "stray": Kind(lambda rng, _: rng.choice(_STRAYS)(rng.choice((0.0, 0.005, 0.3))), ("after",)),
}
RARITY = 0.001
"""The probability that a slow kind of fault is included in a schedule."""

CELLS: tuple[Cell, ...] = tuple(
    (operation, name, side)
    for operation in OPERATIONS
    for name, kind in KINDS.items()
    if operation in kind.on and not kind.rare
    for side in (kind.sides_of(operation) if operation in WRITES else kind.sides[:1])
)

KNOBS: dict[str, tuple[Any, ...]] = {
    "empty_close": (False,),
    "merge_repeats": (True,),
    "list_while_open": (False,),
    "object_lists": (False,),
    "charge_at": ("put",),
    "custom_returned": (False,),
    "put_as_created": (True,),
    "max_recipients": (2, 5),
    "refuse_missing_fields": (True,),
    "strict_slashes": (True,),
    "put_closes": (True,),
    "lose_concurrent": (True,),
    "list_grows": (2.0, 40.0),
    "repeat_puts": (True,),
    "max_per_message": (3, 10),
    "rewrite_numbers": (True,),
    "invalid_named": (0, 1),
    "list_invalid": (True,),
    "list_limit": (3, 20),
    "list_pages": (2, 4, 10),
    "split_close": (True,),
}
"""The dialect settings other than the defaults, without those that break an assumption."""

_NO = frozenset({"400", "402", "403", "404", "406", "422"})


def may_stop(cell: Cell) -> bool:
    """Whether a campaign with this fault alone may stop before it is complete."""
    operation, kind, side = cell
    if kind == "closed by others" or (operation, kind) == ("recipients", "mixed up"):
        return True
    if operation == "send" and side == "before":
        # Never known: the message cannot be found, and may still appear.
        return kind not in {"429", "429, wait"}
    refused = kind in _NO or kind == "401" or (kind == "413" and operation not in {"open", *PUTS})
    return refused or (operation, kind) in {("append", "422/212"), ("delete", "422/221")}


def may_block(
    dialect: Mapping[str, Any],
    *,
    verify: bool,
    unroutable: bool,
    with_fields: bool,
    patience: float,
) -> bool:
    """Whether a campaign in this dialect may stop before it is complete, even without faults."""
    # A batch that was lost leaves only the list to tell.
    needs_list = verify or "lose_concurrent" in dialect
    return (
        # A list that is truncated, or late, cannot verify anything.
        (("list_limit" in dialect or "list_pages" in dialect) and needs_list)
        or dialect.get("list_grows", 0.0) >= patience
        # Invalid recipients that are not named cannot be identified.
        or ("invalid_named" in dialect and unroutable)
        # The gateway refuses a recipient without a field.
        or ("refuse_missing_fields" in dialect and with_fields)
        # A close may neither add recipients nor be empty, so no message can be closed.
        or ("split_close" in dialect and "empty_close" in dialect)
    )
