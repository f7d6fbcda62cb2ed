"""The text of a message: its placeholders and what a recipient has to bring for them.

Pure functions over strings, for anyone who sends. What a text means to the gateway is decided
here and nowhere else.
"""

import re
from collections.abc import Iterable, Mapping

_PLACEHOLDER = re.compile(r"\{\{([^{}]+)\}\}")


def placeholders(body: str) -> tuple[str, ...]:
    """Return the distinct names in `{{name}}`, in the order of first use, blanks included."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(body)))


def is_encodable(text: str) -> bool:
    """Tell whether the text can be written as UTF-8: no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def missing_field(names: Iterable[str], fields: Mapping[str, str] | None) -> str | None:
    """Return the first name that the fields give no value for; an empty text is a value."""
    if fields is None:
        fields = {}
    return next((name for name in names if name not in fields), None)
