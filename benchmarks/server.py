"""A server that answers ready-made bytes as fast as Python can, in a process of its own.

It knows just enough to be believed: every POST opens a message, every `"+` in a body counts as a
recipient, `"transaction":false` closes. Run as `python -m benchmarks.server`; it prints its
address and serves until its standard input ends.
"""

import asyncio
import sys

_MESSAGE = (
    '{{"test":false,"sender":"ACME","body":"Ciao","recipients":{{"valid":{{"count":{count}}},'
    '"invalid":{{"total":0,"list":[]}}}},"priority":1,"options":{{"flash":false,"realtime":false,'
    '"timestamp_send":"1564752494920"}},"transaction":{open},"statistics":{{"error":0,"sent":0,'
    '"delivered":0,"total":{count},"sms_total":{count}}},"base_price":0.0315,"price":0.0315,'
    '"timestamp":"1564752494920","last_update":"1564752494920","state":0,"id":"{id:024x}"}}'
)
_ENVELOPE = '{{"data":{data},"success":true,"message":"ok","credit":"90.9","error":null}}'


class Server(asyncio.Protocol):
    """One connection; the messages are common to all."""

    messages: dict[int, tuple[int, bool]] = {}  # noqa: RUF012 - shared on purpose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            size = 0
            at = head.lower().find(b"content-length:")
            if at >= 0:
                size = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buffer) < end + 4 + size:
                return
            body = self.buffer[end + 4 : end + 4 + size]
            self.buffer = self.buffer[end + 4 + size :]
            self.transport.write(self.answer(head.split(b"\r\n", 1)[0], body))

    def answer(self, line: bytes, body: bytes) -> bytes:
        method, path, _ = line.split(b" ", 2)
        status = b"200 OK"
        added = body.count(b'"+')
        open_ = b'"transaction":true' in body
        if method == b"POST":
            status = b"201 Created"
            message = len(self.messages)
            self.messages[message] = (added, open_)
        else:
            message = int(path.rsplit(b"/", 1)[1], 16)
            if method == b"PUT":
                self.messages[message] = (self.messages[message][0] + added, open_)
        count, open_ = self.messages[message]
        data = _MESSAGE.format(count=count, open=str(open_).lower(), id=message)
        if method != b"PUT":
            data = f"[{data}]"
        content = _ENVELOPE.format(data=data).encode()
        return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            status,
            len(content),
            content,
        )


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
