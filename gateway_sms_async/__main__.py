"""Entry point of the command line: `gateway-sms` and `python -m gateway_sms_async`.

The command line needs typer and rich, which the library itself does not. If they are missing, one
line on stderr explains how to install them.
"""

import sys


def main() -> None:
    """Run the command line."""
    try:
        # Here because typer and rich may be missing.
        from ._cli.main import start  # noqa: PLC0415
        from ._cli.terminal.streams import make_streams_last  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit(_explain())
    make_streams_last()
    start()


def _explain() -> int:
    sys.stderr.write(
        'gateway-sms: the command line needs typer and rich: pip install "gateway-sms-async[cli]"\n'
    )
    return 2


if __name__ == "__main__":
    main()
