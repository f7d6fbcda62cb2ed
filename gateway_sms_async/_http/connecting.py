"""Why there is no connection, in words that say what to do. No I/O."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from .address import is_loopback

__all__ = ["describe_certificate", "proxy_hint"]

_CERTIFICATE = {
    9: "is not valid yet; look at this machine's clock",
    10: "has expired; if it has not, look at this machine's clock",
    62: "is not valid for this host",
    63: "is not valid for this host",
    64: "is not valid for this host",
}
"""By the number of OpenSSL's error (X509_V_ERR_...)."""

_ISSUER = {2, 18, 19, 20, 21, 24}
"""The errors of a certificate whose issuer is not trusted, itself included."""


def describe_certificate(error: Exception) -> str:
    """Return what is wrong with the server's certificate."""
    code = getattr(error, "verify_code", None)
    if code in _ISSUER:
        return (
            "the server's certificate is from an issuer that this machine does not trust; a proxy "
            "may have put in its own (SSL_CERT_FILE names a file of trusted issuers)"
        )
    if code in _CERTIFICATE:
        return f"the server's certificate {_CERTIFICATE[code]}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted (OpenSSL's error {code})"
    return "the server's certificate is not accepted"


def proxy_hint(base_url: str) -> str:
    """Return a hint for an error if the environment names a proxy, which is not read; else ''."""
    parts = urlsplit(base_url)
    if is_loopback(parts.hostname or ""):
        return ""
    names = (f"{parts.scheme}_proxy", "all_proxy")
    for name in (spelled for one in names for spelled in (one.upper(), one)):
        if os.environ.get(name):
            return (
                f"; {name} is set, but not read: give the proxy as proxy=, on the command line "
                "as --proxy"
            )
    return ""
