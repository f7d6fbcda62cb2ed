"""The text of a message as a template: its placeholders, and texts that nobody would send.

Pure functions on strings. A placeholder is `{{name}}`. Blanks around the name do not count. No error
and no result quotes the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

__all__ = [
    "PLACEHOLDER",
    "canonical",
    "field_check",
    "fill",
    "is_visible",
    "marked_name",
    "missing_field",
    "placeholders",
    "unfilled",
]

PLACEHOLDER = re.compile(r"\{\{([^{}]+)\}\}")


def placeholders(body: str) -> tuple[str, ...]:
    """Return the distinct names in `{{name}}`, in the order of first use, without blanks around."""
    if "{{" not in body:
        return ()
    return tuple(dict.fromkeys(name.strip() for name in PLACEHOLDER.findall(body)))


def canonical(body: str) -> str:
    """Return the text with `{{ name }}` written as `{{name}}`, which every gateway understands."""
    if "{{" not in body or all(name == name.strip() for name in PLACEHOLDER.findall(body)):
        return body
    return PLACEHOLDER.sub(lambda found: f"{{{{{found[1].strip()}}}}}", body)


def missing_field(names: Iterable[str], fields: Mapping[str, str] | None) -> str | None:
    """Return the first name without a value in `fields`, None if each has one. "" is a value."""
    if fields is None:
        fields = {}
    return next((name for name in names if name not in fields), None)


def fill(body: str, fields: Mapping[str, str] | None) -> str:
    """Return the text as the gateway fills it for one recipient.

    A placeholder without a value is left as it is. A placeholder inside a value is not filled.
    """
    return _filler(body)(fields) if fields else body


@lru_cache(maxsize=16)  # a campaign fills the same body for every recipient
def _filler(body: str) -> Callable[[Mapping[str, str]], str]:
    pieces = PLACEHOLDER.split(body)  # text, name, text, name, text
    as_written = [f"{{{{{name}}}}}" for name in pieces[1::2]]
    names = [name.strip() for name in pieces[1::2]]

    def filled(fields: Mapping[str, str]) -> str:
        text = pieces.copy()
        text[1::2] = map(fields.get, names, as_written)
        return "".join(text)

    return filled


# Besides blanks and control characters: those that Unicode calls default ignorable (joiners,
# direction marks, fillers, variation selectors, tags), and the blank of Braille.
_find_visible = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
).search


def is_visible(text: str) -> bool:
    """Return whether a phone would show anything of this text."""
    return _find_visible(text) is not None


_WIDE = str.maketrans("｛｝［］（）＜＞％＄＊｜", "{}[]()<>%$*|")  # noqa: RUF001 - full-width forms


_find_wide = re.compile(f"[{''.join(map(chr, _WIDE))}]").search


def _narrow(text: str) -> str:
    # The search is ten times as fast as the translation, and rarely finds anything.
    return text.translate(_WIDE) if _find_wide(text) else text


# A placeholder stands as NULs here, a pair of braces with anything else in it as U+0001.
_UNMATCHED = ("{{", "}}", "{\0", "\0}")

# Each pattern begins with a sign of its own, which is found much faster than one of several.
_OTHER_MARKS = (
    re.compile(r"\{\s*(?:[^\W\d][\w.]*|[0-9]?)\s*\}"),  # {name}, ${name}, {}, {0}
    re.compile(r"%(?<![0-9]%)[^\W\d]\w*%"),  # %name%, but not 20%off%
    re.compile(r"\*\|[^|]*\|\*"),  # *|NAME|*
)

_ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)

_PERCENT_ENCODED = re.compile("%[0-9A-Fa-f]{2}")

_PAIR = re.compile(r"\{[^{}]*\}")

_LONE_BRACE = re.compile(r"\{(?=\w)|(?<=\w)\}")


def unfilled(text: str) -> str | None:
    """Return which marks of a template are left in a text, and where; None if there are none.

    These are marks that the gateway would send as they are: braces that do not match, and names in
    the marks of other systems.
    """
    # Most texts have none of these, and a look for one character is cheaper than any pattern.
    if not (
        "{" in text
        or "}" in text
        or "%" in text
        or "*|" in text
        or "｛" in text  # noqa: RUF001 - full-width forms
        or "｝" in text  # noqa: RUF001
        or "％" in text  # noqa: RUF001
    ):
        return None
    plain = _narrow(PLACEHOLDER.sub(_hidden, text) if "{{" in text else text)
    if "%" in plain:
        plain = _ADDRESS.sub(_without_percents, plain)
    places = [at for sign in _UNMATCHED if (at := plain.find(sign)) >= 0]
    if places:
        return f"braces that do not match at character {min(places) + 1}"
    for marks in _OTHER_MARKS:
        if found := marks.search(plain):
            return f"a name between other marks than {{{{ }}}} at character {found.start() + 1}"
    if "{" in plain or "}" in plain:
        without_pairs = _PAIR.sub(lambda pair: "\1" * len(pair[0]), plain)
        if found := _LONE_BRACE.search(without_pairs):
            return f"a lone brace at character {found.start() + 1}"
    return None


def _without_percents(address: re.Match[str]) -> str:
    # In a web address, %C3%A8 is one letter.
    return _PERCENT_ENCODED.sub("\1\1\1", address[0])


def _hidden(placeholder: re.Match[str]) -> str:
    # A name of blanks names nothing.
    whole = placeholder[0]
    return "\0" * len(whole) if placeholder[1].strip() else whole


# Marks that are ordinary in a text. Only the name of a field or a column in them is a mistake.
_NAMES_IN_MARKS = re.compile(
    r"(?=\[\s*([^\[\]]+?)\s*\]|\(\(\s*([^()]+?)\s*\)\)|<\s*([^<>]+?)\s*>|«\s*([^«»]+?)\s*»"
    r"|\{\s*([^{}]+?)\s*\}|%\s*([^%]+?)\s*%|\$(\w+))"
)


def marked_name(body: str, names: Iterable[str]) -> str | None:
    """Return the first of these names that the text has between other marks than `{{ }}`.

    Compares without case, because some systems write their placeholders in capitals.
    """
    return _first_of(names, _names_in_marks(body))


def _first_of(names: Iterable[str], marked: frozenset[str]) -> str | None:
    return next((name for name in names if _folded(name) in marked), None) if marked else None


def _names_in_marks(body: str) -> frozenset[str]:
    found = _NAMES_IN_MARKS.findall(_narrow(PLACEHOLDER.sub(" ", body)))
    return frozenset(_folded(name) for groups in found for name in groups if name)


def _folded(name: str) -> str:
    return name.strip().casefold()


def field_check(body: str) -> Callable[[Mapping[str, str]], str | None] | None:
    """Return a function that says why a recipient with these fields cannot get the text.

    It returns None for a recipient that can. Returns None instead of a function if every recipient
    can, as with most texts.
    """
    may_be_empty = "{{" in body and not is_visible(PLACEHOLDER.sub("", body))
    marked = _names_in_marks(body)
    if not may_be_empty and not marked:
        return None

    def check(fields: Mapping[str, str]) -> str | None:
        if may_be_empty and not is_visible(fill(body, fields)):
            return "the text is empty with the values of this recipient"
        name = _first_of(fields, marked)
        if name is not None:
            return f"the text has the field {name!r} between other marks than {{{{ }}}}"
        return None

    return check
