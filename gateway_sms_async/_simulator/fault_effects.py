"""How each fault looks on the wire, down to single bytes and TCP flags.

The server calls `play` with the response that the gateway would have sent.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from functools import cache
from typing import Final, Never

import msgspec
from aiohttp import web

from .faults import Fault
from .listener import Connection
from .responses import Response, failure

_JSON: Final = "application/json"
_MIB: Final = 1024 * 1024
_BOMB_MIB: Final = 256
_GZIP_HEAD: Final = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_SPACES: Final = b" " * 65536

_PAGE: Final = (
    "<html><head><title>{0}</title></head><body><h1>{0} from a proxy</h1></body></html>\n"
)

_TCP: Final = (socket.AF_INET, socket.AF_INET6)
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, for zero seconds
encode: Final = msgspec.json.Encoder().encode


def respond(response: Response) -> web.Response:
    """Return the gateway's response unchanged; without a body if it has none."""
    if not response.body:
        return web.Response(status=response.status)
    return web.Response(body=encode(response.body), status=response.status, content_type=_JSON)


def page(status: int) -> web.Response:
    """Return an HTML page that did not come from the gateway itself."""
    return web.Response(text=_PAGE.format(status), status=status, content_type="text/html")


async def play(fault: Fault, request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Apply `fault` to the connection; `response` is what the client should have received."""
    body = encode(response.body)
    match fault.kind:
        case "reset":
            _disconnect(request, reset=True)
        case "close":
            _disconnect(request)
        case "hang" | "late":
            pass
        case "truncate":
            stream = await _start(request, response.status, len(body))
            await stream.write(body[: len(body) // 2])
            _disconnect(request)
        case "drip":
            stream = await _start(request, response.status, len(body))
            for i in range(len(body)):
                await stream.write(body[i : i + 1])
                await asyncio.sleep(fault.seconds)
            return stream
        case "oversized":
            stream = await _start(request, response.status, None)
            await stream.write(body)
            while True:
                await stream.write(_SPACES)
                await asyncio.sleep(0)
        case "stray":
            answer = respond(response)
            await answer.prepare(request)
            await answer.write_eof()
            assert isinstance(request.protocol, Connection)
            request.protocol.write_when_idle(_stray(fault, response.status, body), fault.seconds)
            return answer
        case _:
            return _corrupt(fault, response.status, body)
    return await until_gone()


def _corrupt(fault: Fault, status: int, body: bytes) -> web.Response:
    """Return a complete HTTP response, but not the correct one."""
    match fault.kind:
        case "status":
            return _fail(fault)
        case "html":
            return page(fault.code or status)
        case "redirect":
            return web.Response(status=fault.code or status, headers={"Location": fault.location})
        case "gzip_bomb":
            response = web.Response(body=_bomb(body), status=status, content_type=_JSON)
            response.headers["Content-Encoding"] = "gzip"
            return response
        case "invalid_json":
            body = body[:-1] + b",,"
        case "double_encoded":
            body = encode(body.decode())
        case _:
            assert fault.kind == "empty", fault
            body = b""
    return web.Response(body=body, status=status, content_type=_JSON)


async def until_gone() -> Never:
    """Wait until the connection ends: the server then cancels the task that serves it."""
    await asyncio.Event().wait()
    raise AssertionError


def _disconnect(request: web.BaseRequest, *, reset: bool = False) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        connection: socket.socket = transport.get_extra_info("socket")
        if connection.family in _TCP:  # a Unix socket has no RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()


async def _start(request: web.BaseRequest, status: int, length: int | None) -> web.StreamResponse:
    stream = web.StreamResponse(status=status, headers={"Content-Type": _JSON})
    stream.content_length = length
    if length is None:
        stream.enable_chunked_encoding()
    await stream.prepare(request)
    return stream


def _stray(fault: Fault, status: int, body: bytes) -> bytes:
    """Return the bytes of a second response: the fault's own, or the one before it again."""
    if fault.code is not None:
        status, body = fault.code, fault.body
    head = (
        f"HTTP/1.1 {status} Stray\r\nContent-Type: {_JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _fail(fault: Fault) -> web.Response:
    code = fault.code or 500
    if fault.envelope:
        response = respond(failure(code, fault.error or code, f"simulated failure {code}"))
    else:
        response = web.Response(text=f"simulated failure {code}\n", status=code)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def _bomb(body: bytes) -> bytes:
    """Return a gzip file of `_BOMB_MIB` MiB of spaces, then `body`."""
    spaces, checksum = _packed_spaces()
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = _BOMB_MIB * _MIB + len(body)
    tail = struct.pack("<II", zlib.crc32(body, checksum), length)
    return _GZIP_HEAD + spaces * _BOMB_MIB + packer.compress(body) + packer.flush() + tail


@cache
def _packed_spaces() -> tuple[bytes, int]:
    """Return one MiB of spaces as a deflate block, and the CRC-32 of the whole file's spaces.

    After a full flush a block does not depend on what precedes it, so one block can be repeated.
    Compressing all the spaces would block the event loop for seconds.
    """
    spaces = b" " * _MIB
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(_BOMB_MIB):
        checksum = zlib.crc32(spaces, checksum)
    return block, checksum
