"""The words of an error when there is no connection: certificates, and proxies that are not read."""

import shutil
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from gateway_sms_async import GatewayClient, GatewayConnectionError, GatewayError, RetryPolicy
from gateway_sms_async._http.connecting import describe_certificate

from ..support.raw_server import RawServer, envelope, http, message, say

ID = message()["id"]
FINE = say(http(envelope()))
ONCE = RetryPolicy(max_attempts=1)
VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")

_AUTHORITY = """
[ca]
default_ca = this
[this]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1
"""


def certificate(folder: Path, start: str, end: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context with a certificate for 127.0.0.1, and a client's that trusts it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    (folder / "index").write_text("")
    (folder / "serial").write_text("01")
    (folder / "config").write_text(_AUTHORITY.format(folder=folder))
    key, request, made = (str(folder / name) for name in ("key.pem", "request.pem", "cert.pem"))
    for command in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", request],
        ["ca", "-batch", "-selfsign", "-config", str(folder / "config"), "-keyfile", key,
         "-in", request, "-out", made, "-startdate", start, "-enddate", end, "-notext"],
    ):  # fmt: skip
        subprocess.run([openssl, *command], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made, key)
    return server, ssl.create_default_context(cafile=made)


LIVES = ("20200101000000Z", "20991231000000Z")


async def error_of(url: str, trusted: ssl.SSLContext | None = None, **options: object) -> str:
    """Return the text of the error of one call."""

    def connector() -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector() if trusted is None else aiohttp.TCPConnector(ssl=trusted)

    async with GatewayClient(
        "t", base_url=url, rate=None, retry=ONCE, connector=connector, **options
    ) as client:
        with pytest.raises(GatewayError) as caught:
            await client.messages.get(ID)
    assert isinstance(caught.value, GatewayConnectionError | TimeoutError)
    return str(caught.value)


async def test_an_issuer_that_is_not_trusted(tmp_path: Path) -> None:
    server, _ = certificate(tmp_path, *LIVES)
    async with RawServer(FINE, tls=server) as running:
        text = await error_of(running.url)
    assert "from an issuer that this machine does not trust" in text
    assert "SSL_CERT_FILE" in text
    assert "host" not in text


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("20200101000000Z", "20200201000000Z", "has expired"),
        ("20980101000000Z", "20990101000000Z", "is not valid yet"),
    ],
)
async def test_a_certificate_of_another_time(
    tmp_path: Path, start: str, end: str, words: str
) -> None:
    server, trusted = certificate(tmp_path, start, end)
    async with RawServer(FINE, tls=server) as running:
        text = await error_of(running.url, trusted)
    assert f"the server's certificate {words}" in text
    assert "clock" in text


async def test_a_certificate_of_another_host(tmp_path: Path) -> None:
    server, trusted = certificate(tmp_path, *LIVES)
    async with RawServer(FINE, tls=server) as running:
        text = await error_of(running.url.replace("127.0.0.1", "localhost"), trusted)
    assert text.endswith("the server's certificate is not valid for this host")


async def test_a_trusted_certificate_is_accepted(tmp_path: Path) -> None:
    server, trusted = certificate(tmp_path, *LIVES)
    async with (
        RawServer(FINE, tls=server) as running,
        GatewayClient(
            "t",
            base_url=running.url,
            connector=lambda: aiohttp.TCPConnector(ssl=trusted),
            retry=ONCE,
        ) as client,
    ):
        assert (await client.messages.get(ID)).id == ID


def test_what_else_is_wrong_with_a_certificate_is_said_by_number() -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code = 23
    assert describe_certificate(error).endswith("is not accepted (OpenSSL's error 23)")
    assert describe_certificate(ssl.CertificateError("x")) != ""


@pytest.fixture
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://user:secret@127.0.0.1:9")
    text = await error_of("https://gateway.example.invalid")
    assert f"{name} is set, but not read: give the proxy as proxy=" in text
    assert "--proxy" in text
    assert "secret" not in text


@pytest.mark.usefixtures("_no_proxy")
async def test_no_proxy_is_named_where_it_cannot_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert "proxy" not in await error_of("https://gateway.example.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    for url in ("http://127.0.0.1:9", "https://localhost:9"):
        assert "proxy" not in await error_of(url)
    # The proxy that was given is not there.
    text = await error_of("https://gateway.example.invalid", proxy="http://127.0.0.1:9")
    assert "HTTPS_PROXY" not in text
