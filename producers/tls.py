"""What is wrong with an encrypted connection to Redis, and how to mend it."""

from __future__ import annotations

NO_HANDSHAKE = "no TLS handshake"

_MENDED = {
    "CERTIFICATE_VERIFY_FAILED": "Redis's certificate is not trusted, or is of another host; name its CA in "
    "REDIS_URL, as in rediss://host:6379/0?ssl_ca_certs=/path/to/ca.pem",
    "CERTIFICATE_REQUIRED": "Redis wants a certificate of yours; name it in REDIS_URL, as in "
    "rediss://host:6379/0?ssl_certfile=/path/to/client.pem&ssl_keyfile=/path/to/client.key",
    NO_HANDSHAKE: "Redis does not answer by TLS: it is away, or that port of it is a plain one; use its TLS "
    "port, or redis:// in REDIS_URL",
    "[SSL": "Redis refuses the TLS connection; look into its log, and at the certificates in REDIS_URL",
}


def problem(error: BaseException) -> str:
    """Say how to mend what the TLS library has said, where that is why a connection failed; else ""."""
    said = str(error)
    return next((mended for word, mended in _MENDED.items() if word in said), "")
