"""How a command is made and run: registration and errors.

`command` registers a function. Expected errors become one line on stderr and an exit code, which
`exit_codes` chooses.
"""

import inspect
import traceback
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, cast

import typer

from ..errors import GatewayError, OutcomeUnknownError
from .exit_codes import after_error, by_signal, with_output
from .signals import CtrlC, EndedBySignalError, all_as_ctrl_c
from .terminal.console import print_lookup_hint, print_status
from .terminal.streams import lost_output

app: typer.Typer = typer.Typer(
    name="gateway-sms",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(
    *examples: str, within: typer.Typer = app
) -> Callable[[Callable[..., int | None]], None]:
    """Register a function as a command. Its docstring is the help, its result the exit code.

    A parameter whose annotation is a dataclass is replaced by one option for each of its fields.
    """

    def register(function: Callable[..., int | None]) -> None:
        groups: dict[str, Any] = {}
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(function).parameters.values():
            group: Any = parameter.annotation
            if is_dataclass(group):
                groups[parameter.name] = group
                parameters.extend(inspect.signature(cast("type[Any]", group)).parameters.values())
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

        def invoke(**values: Any) -> None:
            for name, group in groups.items():
                parts = {field.name: values.pop(field.name) for field in fields(group)}
                values[name] = group(**parts)
            raise typer.Exit(run(partial(function, **values)))

        vars(invoke)["__signature__"] = inspect.Signature(parameters)
        epilog = "\n\n".join(("Examples:", *examples))
        within.command(
            function.__name__.rstrip("_").replace("_", "-"),
            help=join_lines(inspect.getdoc(function) or ""),
            epilog=epilog,
        )(invoke)

    return register


def join_lines(text: str) -> str:
    """Return a text with each paragraph on one line, so that the terminal wraps it."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def run(function: Callable[[], int | None]) -> int:
    """Run a command and return its exit code; an expected error is printed as one line."""
    with all_as_ctrl_c() as ended:
        code = _result_of(function, ended)
    lost = lost_output()
    if lost is not None:
        print_status(f"gateway-sms: stdout could not be written: {lost.strerror or lost}")
    return with_output(code, written=lost is None)


def _result_of(function: Callable[[], int | None], ctrl_c: CtrlC) -> int:
    try:
        return function() or 0
    except EndedBySignalError as ended:
        print_status("gateway-sms: interrupted")
        return by_signal(ended.number)
    except KeyboardInterrupt:
        print_status("gateway-sms: interrupted")
        return by_signal(ctrl_c.number)
    except (typer.Exit, typer.Abort):
        raise
    except (GatewayError, ValueError, TypeError, OSError) as error:
        print_status(f"gateway-sms: {error}")
        if isinstance(error, OutcomeUnknownError):
            print_lookup_hint(error.reference)
        return after_error(error)
    except Exception as error:  # noqa: BLE001 - a traceback alone would end with the code 1
        traceback.print_exc()
        return after_error(error)
