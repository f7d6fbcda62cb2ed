"""The examples in the docstrings of the public names run, as written, against the simulator.

An example is a fenced block of Python. It may use `gateway`, `recipients`, `simulator` and every
public name without importing it, and `await` at the top level.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import gateway_sms_async
from gateway_sms_async import Campaigns, GatewayClient, Messages, preview
from gateway_sms_async.testing import Simulator

FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPIENTS = ["+39 340 1234567", "+39 340 1234568", "+44 7911 123456"]

DOCUMENTED: dict[str, Any] = {
    "GatewayClient": GatewayClient,
    "GatewayClient.resume_bulk": GatewayClient.resume_bulk,
    "GatewayClient.send_bulk": GatewayClient.send_bulk,
    "GatewayClient.transaction": GatewayClient.transaction,
    "Messages.send": Messages.send,
    "Campaigns": Campaigns,
    "Simulator": Simulator,
    "preview": preview,
}
# An example that continues what the example of another docstring began.
AFTER = {"GatewayClient.resume_bulk": "GatewayClient.send_bulk"}
# Their examples send to all recipients before they end.
SENDING = {name for name in DOCUMENTED if name.startswith("GatewayClient")}


def examples(name: str) -> list[str]:
    return FENCED.findall(inspect.getdoc(DOCUMENTED[name]) or "")


async def run(example: str, names: dict[str, object]) -> None:
    code = compile(
        example, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    running = eval(code, names)
    if isinstance(running, Coroutine):
        await running


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_summary_comes_first_and_then_a_short_example(name: str) -> None:
    summary, _, rest = (inspect.getdoc(DOCUMENTED[name]) or "").partition("\n\n")
    assert "\n" not in summary
    assert summary.endswith(".")
    assert "```python\n" in rest
    lines = [line for line in examples(name)[0].splitlines() if line.strip()]
    assert len(lines) <= 9


@pytest.mark.parametrize("name", DOCUMENTED)
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
    found = examples(name)
    assert found
    for example in examples(AFTER[name]) if name in AFTER else []:
        await run(example, supplied(simulator, gateway))
    for example in found:
        await run(example, supplied(simulator, gateway))
    if name in SENDING:
        assert sorted(simulator.ledger) == sorted(map(gateway_sms_async.normalize, RECIPIENTS))


def supplied(simulator: Simulator, gateway: GatewayClient) -> dict[str, object]:
    public = {name: getattr(gateway_sms_async, name) for name in gateway_sms_async.__all__}
    return public | {
        "Simulator": Simulator,
        "gateway": gateway,
        "recipients": list(RECIPIENTS),
        "simulator": simulator,
    }


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
