"""Counts the SMS parts of a text: in the GSM 7-bit alphabet, or in UCS-2 for other characters."""

from __future__ import annotations

import re
from typing import Final

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)

_EXTENSION: Final = "\f^{}\\[~]|€"
_is_basic: Final = re.compile(f"[{re.escape(_BASIC)}]*").fullmatch
_is_gsm: Final = re.compile(f"[{re.escape(_BASIC + _EXTENSION)}]*").fullmatch
_LAST_OF_FIRST_PLANE: Final = "\uffff"


def count_parts(text: str) -> tuple[int, int]:
    """Return the number of SMS parts of `text`, and the free characters in the last one."""
    if _is_basic(text):
        sizes = [1] * len(text)
        alone, each = 160, 153
    elif _is_gsm(text):
        sizes = [2 if character in _EXTENSION else 1 for character in text]
        alone, each = 160, 153
    else:
        sizes = [2 if character > _LAST_OF_FIRST_PLANE else 1 for character in text]
        alone, each = 70, 67
    total = sum(sizes)
    if total <= alone:
        return 1, alone - total
    parts, room = 1, each
    for size in sizes:  # division would be wrong: a pair is never split over two parts
        if size > room:
            parts, room = parts + 1, each
        room -= size
    return parts, room
