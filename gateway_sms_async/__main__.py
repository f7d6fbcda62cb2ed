"""Entry point of the command line: `gateway-sms` and `python -m gateway_sms_async`.

The command line needs typer and rich, which the library itself does not. If they are missing, one
line on stderr explains how to install them.
"""

import io
import sys


def main() -> None:
    """Run the command line."""
    try:
        from ._cli.main import app  # noqa: PLC0415 - typer and rich may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit(_explain())
    for stream in (sys.stdout, sys.stderr):
        # Escape a character that the terminal's encoding lacks, instead of failing to print the line.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="gateway-sms")


def _explain() -> int:
    sys.stderr.write(
        'gateway-sms: the command line needs typer and rich: pip install "gateway-sms-async[cli]"\n'
    )
    return 2


if __name__ == "__main__":
    main()
