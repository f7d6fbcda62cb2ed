"""One request on the wire and the gateway's response to it, as an observer of both sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway_sms_async.testing import Fault, RecordedRequest


@dataclass
class RequestRecord:
    """One request and the gateway's response to it.

    `arrived` and `responded` are positions in the order of all events. `body` and `status` are the
    gateway's own response; `remaining_fault`, if any, may still keep it from the client.
    """

    request: RecordedRequest
    at: float
    process: int
    fault: str
    arrived: int
    responded: int | None = None
    status: int = 0
    body: dict[str, Any] = field(default_factory=dict)
    remaining_fault: Fault | None = None

    @property
    def message_id(self) -> str:
        """The id of the message in the path; for a POST, of the message that it created."""
        pieces = self.request.path.strip("/").split("/")
        if len(pieces) > 1:
            return pieces[1]
        document = self.document
        return str(document["id"]) if document else ""

    @property
    def document(self) -> dict[str, Any] | None:
        """The message in the gateway's own response, None if it has none."""
        data = self.body.get("data") if self.body.get("success") else None
        if isinstance(data, list):
            data = data[0] if len(data) == 1 else None
        return data if isinstance(data, dict) and "transaction" in data else None

    @property
    def may_be_received(self) -> bool:
        """Whether the client may have received the gateway's own response."""
        if self.responded is None:
            return False
        return self.remaining_fault is None or self.remaining_fault.kind in {
            "double_encoded",
            "drip",
            "stray",
        }

    @property
    def rejected(self) -> bool:
        """Whether the client may have received a complete refusal."""
        if self.responded is None:
            return False
        status, envelope = self.status, not self.body.get("success")
        if not self.may_be_received:
            assert self.remaining_fault is not None
            if self.remaining_fault.kind in {"status", "html"}:
                status = self.remaining_fault.code or 0
                envelope = self.remaining_fault.kind == "status" and self.remaining_fault.envelope
            elif self.remaining_fault.kind in {"empty", "invalid_json"}:
                # Only the body is corrupted: a refusal by its status alone is still one.
                envelope = False
            else:
                return False
        return status in {401, 413, 429} or (envelope and status in {400, 402, 403, 404, 406, 422})
