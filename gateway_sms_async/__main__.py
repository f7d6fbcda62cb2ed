"""The door of the command line: `gateway-sms` and `python -m gateway_sms_async` both end here.

What the command line needs beyond the library may not be installed; the way to get it is said.
"""

import io
import sys


def main() -> None:
    """Run the command line."""
    try:
        from ._cli.main import app  # noqa: PLC0415 - it may not be possible
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit(_explain())
    for stream in (sys.stdout, sys.stderr):
        # Not every terminal has every character, which is no reason to say nothing.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="gateway-sms")


def _explain() -> int:
    sys.stderr.write('The command line needs more: pip install "gateway-sms-async[cli]"\n')
    return 2


if __name__ == "__main__":
    main()
