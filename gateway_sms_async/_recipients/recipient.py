"""The forms in which a caller may pass a recipient, and a source of recipients."""

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from .._text import is_encodable
from .numbers import mask

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class Recipient:
    """One phone number, with its values for the placeholders of the text.

    The number is kept as it was written and checked when it is used. Raises TypeError for a number
    that is not a `str`, or fields that are not a mapping of `str` to `str`.
    """

    number: str
    fields: Fields | None = None

    def __post_init__(self) -> None:
        _plain_str(self.number, "a number")
        if self.fields is not None:
            _plain_fields(self.fields)

    def __repr__(self) -> str:
        names = None if self.fields is None else tuple(self.fields)
        return f"Recipient({mask(self.number)!r}, fields={names!r})"


RecipientLike = str | Recipient | tuple[str, Fields]


Recipients = Iterable[RecipientLike] | AsyncIterable[RecipientLike]


class RowError(TypeError):
    """An item is a row with names, such as a dict, and no recipient."""


def coerce(item: object) -> tuple[str, dict[str, str] | None]:
    """Return the number of a `RecipientLike`, as written, and a copy of its fields.

    Raises TypeError for anything else, RowError for a row; the message quotes no value.
    """
    if isinstance(item, str):
        return _plain_str(item, "a number"), None
    if isinstance(item, tuple):
        try:
            number, fields = cast("tuple[object, object]", item)
        except ValueError:
            raise TypeError("a recipient as a tuple is (number, fields)") from None
        return _plain_str(number, "a number"), _plain_fields(fields)
    if isinstance(item, Recipient):
        fields = None if item.fields is None else _plain_fields(item.fields)
        return _plain_str(item.number, "a number"), fields
    wanted = "a recipient is a str, a Recipient or a tuple (number, fields)"
    if hasattr(item, "keys"):
        raise RowError(
            f"{wanted}, not {_kind(item)}: take the number and the fields out of each row"
        )
    raise TypeError(f"{wanted}, not {_kind(item)}")


def _plain_str(value: object, what: str) -> str:
    if type(value) is str:
        return value
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {_kind(value)}")
    # A subclass (a numpy string, a string enum) cannot be encoded, and its own str() may differ.
    return str.__str__(value)


def _plain_fields(fields: object) -> dict[str, str]:
    if type(fields) is not dict and not isinstance(fields, Mapping):
        raise TypeError(f"fields must be a mapping of str to str, not {_kind(fields)}")
    # A copy, because a source may reuse one dict for all its recipients.
    plain = dict(cast("Mapping[str, str]", fields))
    if any(type(one) is not str for one in (*plain, *plain.values())):
        plain = {
            _plain_str(name, "a field's name"): _plain_str(value, f"field {name!r}")
            for name, value in plain.items()
        }
    if not all(map(is_encodable, (*plain, *plain.values()))):
        raise ValueError("a field holds half of a surrogate pair")
    return plain


def _kind(value: object) -> str:
    return type(value).__name__


def check_source(recipients: object) -> None:
    """Raise TypeError for a single recipient, or for anything else that is no source of recipients."""
    match recipients:
        case str():
            hint = "a str is one number: write [number]"
        case bytes() | bytearray():
            hint = "numbers are str, not bytes: decode them first"
        case Mapping():
            hint = "a mapping has no order of recipients: write a list of (number, fields)"
        case Recipient():
            hint = "a Recipient is one recipient: write [recipient]"
        case (str(), Mapping()):
            hint = "(number, fields) is one recipient: write [(number, fields)]"
        case Iterable() | AsyncIterable():
            return
        case _:
            hint = f"write a list, or another iterable or async iterable, not {_kind(recipients)}"
    raise TypeError(f"recipients: {hint}")
