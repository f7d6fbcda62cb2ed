"""Decoding recipient reports to typed objects, compared with `orjson.loads` to dicts."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable

from gateway_sms_async._messages.api import _REPORTS

from ._figures import Figure, Result, Size, ratio, spreads
from ._measure import ROOT, take_turns

_REPORTS_MADE = {"tiny": 200, "small": 20_000, "full": 20_000}


def body(count: int) -> bytes:
    """Return the vendor's example of a list of recipients, with `count` entries."""
    examples = json.loads((ROOT / "tests" / "data" / "vendor_examples.json").read_bytes())
    envelope = examples["recipients"]["responses"]["200"]
    [report] = envelope["data"]
    envelope["data"] = [
        report | {"number": f"+39-340{n:07}", "i": n, "id": f"{n:024x}"} for n in range(count)
    ]
    return json.dumps(envelope).encode()


def _cpu(decode: Callable[[bytes], object], wire: bytes, count: int) -> Callable[[], float]:
    def measured() -> float:
        gc.collect()
        began = time.process_time()
        kept = decode(wire)
        taken = time.process_time() - began
        del kept
        return taken / count * 1e6

    return measured


def _read_all(wire: bytes) -> None:
    for one in _REPORTS.decode(wire).data:
        report = one.report
        assert report is not None
        _ = (one.timestamp_sent, one.timestamp_delivery, one.price, one.sms, report.done_at)


def run(size: Size, runs: int) -> Result:
    try:
        import orjson  # noqa: PLC0415 - only for comparison; the other benches run without it
    except ImportError:
        return Result(remarks=["skipped: orjson is not installed"])
    count = _REPORTS_MADE[size]
    wire = body(count)
    taken = take_turns(
        runs,
        {
            "ours": _cpu(_REPORTS.decode, wire, count),
            "orjson": _cpu(orjson.loads, wire, count),
            "ours, and reading times, price and the carrier's report": _cpu(_read_all, wire, count),
        },
    )
    what = f"{count:,} reports to typed objects, beside `orjson.loads` to dicts: its CPU / ours"
    details = {"bytes a report": len(wire) // count, "us CPU a report": spreads(taken)}
    return Result(
        [Figure(what, ratio(taken["orjson"], taken["ours"]), "x", 3, least=True)], details
    )
