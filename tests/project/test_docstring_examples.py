"""The examples in the docstrings of the public names run, as written, against the simulator.

An example is a fenced block of Python. It may use `gateway`, `recipients`, `simulator` and every
public name of the package without importing it, and `await` at the top level.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import gateway_sms_async
from gateway_sms_async import GatewayClient
from gateway_sms_async.testing import Simulator

MODULES = [
    "gateway_sms_async",
    "gateway_sms_async.callbacks",
    "gateway_sms_async.callbacks.aiohttp",
    "gateway_sms_async.callbacks.asgi",
    "gateway_sms_async.errors",
    "gateway_sms_async.models",
    "gateway_sms_async.otel",
    "gateway_sms_async.testing",
]
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPIENTS = ["+39 340 1234567", "+39 340 1234568", "+44 7911 123456"]

# These must have an example, right after a summary of one line.
REQUIRED = {
    "GatewayClient",
    "GatewayClient.resume_bulk",
    "GatewayClient.send_bulk",
    "GatewayClient.transaction",
    "Messages.send",
    "Options",
    "Receipt",
    "Campaigns",
    "Simulator",
    "measure",
    "preview",
    "to_gsm",
}
LONGEST = 9
# An example that continues what the example of another docstring began.
AFTER = {
    "GatewayClient.resume_bulk": "GatewayClient.send_bulk",
    "read_journal": "GatewayClient.send_bulk",
}
# Their examples send to all recipients before they end.
SENDING = {name for name in REQUIRED if name.startswith("GatewayClient")}


def documented() -> Iterator[tuple[str, str]]:
    """Yield the public modules, names and methods, each with its docstring."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        yield module_name, inspect.getdoc(module) or ""
        for public in module.__all__ if hasattr(module, "__all__") else ():
            thing = getattr(module, public)
            if not callable(thing):
                continue
            yield public, inspect.getdoc(thing) or ""
            for name, member in vars(thing).items() if isinstance(thing, type) else ():
                if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                    yield f"{public}.{name}", inspect.getdoc(member) or ""


DOCSTRINGS = dict(documented())
EXAMPLES = {name: found for name, doc in DOCSTRINGS.items() if (found := FENCED.findall(doc))}


async def run(example: str, names: dict[str, object]) -> None:
    code = compile(
        example, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    running = eval(code, names)
    if isinstance(running, Coroutine):
        await running


def supplied(simulator: Simulator, gateway: GatewayClient) -> dict[str, Any]:
    public = {name: getattr(gateway_sms_async, name) for name in gateway_sms_async.__all__}
    own = {"gateway": gateway, "recipients": list(RECIPIENTS), "simulator": simulator}
    return public | own


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_summary_comes_first_and_then_a_short_example(name: str) -> None:
    summary, _, rest = DOCSTRINGS[name].partition("\n\n")
    assert "\n" not in summary
    assert summary.endswith(".")
    assert rest.startswith("```python\n")
    lines = [line for line in EXAMPLES[name][0].splitlines() if line.strip()]
    assert len(lines) <= LONGEST


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_the_examples_of_a_docstring_run(
    name: str,
    simulator: Simulator,
    gateway: GatewayClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAPI_TOKEN", simulator.token)
    monkeypatch.setenv("GATEWAY_SMS_BASE_URL", simulator.url)
    for example in (*EXAMPLES.get(AFTER.get(name, ""), ()), *EXAMPLES[name]):
        await run(example, supplied(simulator, gateway))
    if name in SENDING:
        assert sorted(simulator.ledger) == sorted(map(gateway_sms_async.normalize, RECIPIENTS))


def test_an_example_is_taken_out_of_its_docstring() -> None:
    docstring = textwrap.dedent(
        """
        Do it.

        ```python
        async with it:
            await it()
        ```

        ```
        not this
        ```
        """
    )
    assert FENCED.findall(docstring) == ["async with it:\n    await it()\n"]
