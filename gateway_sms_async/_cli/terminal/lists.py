"""What was read from the files of a campaign: which columns, and which rows need a look."""

from __future__ import annotations

from collections.abc import Sequence

from ..lists.columns import show_names
from ..lists.empty_cells import EmptyCells, FirstLines
from ..lists.exclusions import Exclusions
from ..lists.recipient_list import RecipientList
from .console import print_status

_WORDS_SHOWN = 5


def print_list(recipients: RecipientList) -> None:
    """Print the number column of a list, and the rows that leave a placeholder empty."""
    if names := recipients.format.number_names:
        print_status(f"{recipients.name}: the numbers are in {_columns(names)}")
    for field, empty in recipients.empty.items():
        print_status(
            f"{recipients.name}: {_rows(empty.rows.count)} of {recipients.total:,} with an empty "
            f"{field!r}{_words(empty)}: {_lines(empty.rows)}"
        )


def print_exclusions(exclusions: Exclusions) -> None:
    """Print how many numbers a file excludes, from which columns, and its rows without a number."""
    where = f" from {_columns(exclusions.columns)}" if exclusions.columns else ""
    count = len(exclusions.numbers)
    print_status(f"{exclusions.name}: {count:,} number{'s' * (count != 1)} not to send to{where}")
    if exclusions.without_number.count:
        print_status(
            f"{exclusions.name}: {_rows(exclusions.without_number.count)} without a number, which "
            f"exclude{'s' * (exclusions.without_number.count == 1)} no recipient: "
            f"{_lines(exclusions.without_number)}"
        )


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' * (len(names) > 1)} {show_names(names)}"


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _words(empty: EmptyCells) -> str:
    """Return the words in these cells: (3 'NaN', 1 'NULL')."""
    words = ", ".join(
        f"{count:,} {word!r}" for word, count in empty.words.most_common(_WORDS_SHOWN)
    )
    return f" ({words})" if words else ""


def _lines(rows: FirstLines) -> str:
    shown = ", ".join(map(str, rows.lines))
    more = rows.count - len(rows.lines)
    return f"line{'s' * (rows.count != 1)} {shown}{f' and {more:,} more' if more else ''}"
