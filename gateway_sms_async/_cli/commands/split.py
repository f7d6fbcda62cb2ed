"""The command `split`: one list in several parts, for machines that share nothing.

The last four digits of a number decide its part. They are the same however the number is written: with
its country or without, in an old notation or the new one. So nothing depends on how it is read later.
No number is shorter without its country.
"""

import re
import unicodedata
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated

from ..._shards.spool import shard_of
from ..app import command
from ..campaign_input import ListFile, ListOptions
from ..exit_codes import with_output
from ..lists.recipient_list import RecipientList, Row, divide_rows, open_list
from ..options import option
from ..output_file import Output, check_outputs, open_output
from ..terminal.console import print_json, print_status
from ..terminal.lists import print_list
from ..terminal.progress import show_rows_read

# All are open at once, and many systems allow a process 1,024 open files.
_MOST_PARTS = 500

_NO_NAME = "list"

_LAST_DIGITS = 4


@command(
    "gateway-sms split people.csv --parts 4",
    "gateway-sms split people.csv --parts 4 --folder parts --number-column Mobile",
)
def split(
    *,
    file: ListFile,
    parts: Annotated[int, option("How many parts to make.")],
    reading: ListOptions,
    folder: Annotated[
        Path | None, option("Write the parts into this folder. Default: that of the list.")
    ] = None,
) -> int:
    """Split a list into parts of about the same size, to be sent from several machines.

    A number is in one part only, however often the list has it and however it is written: so each
    machine sends its part with `bulk` and a journal of its own, and nobody is texted twice. Give each
    `bulk` the same files of --exclude. The rate of the account is that of all machines together: see
    --rate-shared of `bulk`.

    The rows are written as they are, in the format of the list, also those with an invalid number.
    Prints the files and how many rows each has, as JSON.

    Exit codes: 0 success; 1 failure; 2 wrong usage, or the list cannot be read; 6 a file could not be
    written.
    """
    if not 1 < parts <= _MOST_PARTS:
        raise ValueError(f"--parts is a number from 2 to {_MOST_PARTS:,}")
    names = _names(file, parts, folder)
    check_outputs({f"part {at}": name for at, name in enumerate(names, 1)}, (file,))
    rows = [0] * parts
    with ExitStack() as stack:
        with show_rows_read("Reading") as on_read:
            recipients = stack.enter_context(
                open_list(
                    file,
                    columns=reading.columns(),
                    encoding=reading.encoding,
                    delimiter=reading.delimiter,
                    on_read=on_read,
                )
            )
        outputs = [stack.enter_context(open_output(name)) for name in names]
        print_list(recipients)
        written = _write(recipients, rows, [one for one in outputs if one is not None])
    if not written:
        return with_output(0, written=False)
    print_json(
        {
            "rows": recipients.total,
            "parts": [
                {"file": str(name), "rows": count} for name, count in zip(names, rows, strict=True)
            ],
        }
    )
    return 0


def _part_of(number: str, position: int, parts: int) -> int:
    """Return the part of a number, from 0; that of its position if there is no digit in it."""
    digits = "".join(str(unicodedata.decimal(one)) for one in number if one.isdecimal())
    last = digits[-_LAST_DIGITS:]
    return shard_of(int(last), parts) if last else position % parts


def _names(file: str, parts: int, folder: Path | None) -> list[Path]:
    """Return the paths of the parts: people.csv.gz becomes people.1-of-4.csv, and so on."""
    path = Path(_NO_NAME if file == "-" else file)
    name = re.sub(r"\.gz\Z", "", path.name, flags=re.IGNORECASE)
    stem, suffix = Path(name).stem, Path(name).suffix
    where = path.parent if folder is None else folder
    return [where / f"{stem}.{at}-of-{parts}{suffix}" for at in range(1, parts + 1)]


def _write(recipients: RecipientList, rows: list[int], outputs: list[Output]) -> bool:
    """Write all parts in one pass, and count the `rows` of each. Returns False if one failed."""
    files: list[IO[str]] = []
    for output in outputs:
        output.write_part(files.append)

    def place(position: int, row: Row) -> int:
        part = _part_of(row.number, position, len(rows))
        rows[part] += 1
        return part

    try:
        divide_rows(recipients, place, files)
    except OSError as error:
        print_status(f"gateway-sms: the parts could not be written: {error}")
        return False
    written = [output.complete() for output in outputs]
    return all(written)
