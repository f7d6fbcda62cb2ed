"""Items of JSON Lines looked at as a whole: a key that is there twice, and texts at any depth."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import cast

import msgspec

_Names = tuple[str, ...]


class _RepeatedKeyError(Exception):
    """An object has a key twice. Its only argument is the key."""


def _refuse_repeated(members: list[tuple[str, object]]) -> None:
    keys: set[str] = set()
    for key, _ in members:
        if key in keys:
            raise _RepeatedKeyError(key)
        keys.add(key)


# A number may be too long for an int, so it stays as it is written.
_decode_pairs = json.JSONDecoder(
    object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str
).decode


def find_repeated_key(content: str, keys: Collection[str]) -> str | None:
    """Return a key that an object on a line has twice, at any depth. `keys` are those of the item.

    Of such keys, a decoder keeps the last value without a word. Raises ValueError if the line is not
    JSON after all.
    """
    # Fast path: a key that is there twice is also in its quotes twice.
    if (
        "\\" not in content
        and content.count("{") == 1
        and not any(content.count(f'"{key}"') > 1 for key in keys)
    ):
        return None
    try:
        _decode_pairs(content)
    except _RepeatedKeyError as error:
        return cast("str", error.args[0])
    return None


def find_texts(value: msgspec.Raw, key: str) -> Iterator[tuple[_Names, str]]:
    """Yield all texts and integers inside a value, each with the keys on the way to it.

    Raises ValueError if it cannot be decoded.
    """
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError(
            "a value cannot be read, perhaps because it is too deep; write the numbers as texts"
        ) from None
    left: list[tuple[_Names, object]] = [((key,), decoded)]
    while left:
        names, one = left.pop()
        if isinstance(one, dict):
            members = cast("dict[str, object]", one)
            left += [((*names, name), member) for name, member in members.items()]
        elif isinstance(one, list):
            left += [(names, member) for member in cast("list[object]", one)]
        elif isinstance(one, str):
            yield names, one
        elif isinstance(one, int) and not isinstance(one, bool):
            yield names, str(one)
