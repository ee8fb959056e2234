"""A Redis as one would run it in a network: with users of its own, by TLS, or both."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

from worker.demo.loopback import HOST, free_port
from worker.demo.servers import RedisServer, ServerError

ADMIN = "user admin on >admin ~* &* +@all\n"


class RedisWithUsers(RedisServer):
    """One that lets only those users in that a file names, and an `admin` for the test."""

    def __init__(self, users: str) -> None:
        super().__init__()
        self.users = users

    def url_of(self, user: str, password: str) -> str:
        """Its REDIS_URL, for a user."""
        return f"redis://{user}:{password}@{HOST}:{self.port}/0"

    def _prepare(self) -> None:
        super()._prepare()
        (self.folder / "users.acl").write_text(self.users + ADMIN)

    def _command(self) -> list[str]:
        return [*super()._command(), "--aclfile", str(self.folder / "users.acl")]

    def _ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"AUTH admin admin\r\nINFO server\r\n")
                said = b""
                while b"\r\nexecutable:" not in said and (more := connection.recv(1 << 16)):
                    said += more
                return f"\r\nprocess_id:{self.pid}\r\n".encode() in said
        except OSError:
            return False


class RedisByTLS(RedisServer):
    """One that speaks TLS on `tls_port`, with a certificate of its own CA; and plainly on `port`.

    Valkey's wheel has no TLS, so it takes a redis-server or valkey-server that is installed and has.
    """

    def __init__(self, *given: str, asks_clients: bool) -> None:
        super().__init__(*given)
        self.tls_port, self._asks_clients = free_port(), asks_clients
        self._installed = shutil.which("redis-server") or shutil.which("valkey-server")
        if self._installed is None or shutil.which("openssl") is None:
            raise ServerError("no Redis with TLS: apt-get install redis-server openssl brings one")

    def path(self, name: str) -> Path:
        """Where a certificate is, or a key."""
        return self.folder / name

    def url_by_tls(self, credentials: str = "", **query: str) -> str:
        """Its REDIS_URL; options of TLS go into the query."""
        options = "&".join(f"{name}={value}" for name, value in query.items())
        host = f"{credentials}@{HOST}" if credentials else HOST
        return f"rediss://{host}:{self.tls_port}/0" + (f"?{options}" if options else "")

    def _prepare(self) -> None:
        super()._prepare()
        self._program = str(self._installed)
        self._certify("ca", "-x509", "-addext", "basicConstraints=critical,CA:TRUE")
        for name in ("server", "client"):
            signed_by = ("-CA", str(self.path("ca.pem")), "-CAkey", str(self.path("ca.key")))
            self._certify(name, "-x509", *signed_by, "-addext", f"subjectAltName=IP:{HOST}")
        self._certify("other", "-x509")

    def _certify(self, name: str, *options: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        out = ("-keyout", str(self.path(f"{name}.key")), "-out", str(self.path(f"{name}.pem")))
        subprocess.run(
            ["openssl", "req", *options, *key, *out, "-days", "2", "-subj", f"/CN={name}"],  # noqa: S607
            check=True,
            capture_output=True,
        )

    def _command(self) -> list[str]:
        settings = {
            "tls-port": str(self.tls_port),
            "tls-cert-file": str(self.path("server.pem")),
            "tls-key-file": str(self.path("server.key")),
            "tls-ca-cert-file": str(self.path("ca.pem")),
            "tls-auth-clients": "yes" if self._asks_clients else "no",
        }
        return [
            *super()._command(),
            *(part for name, value in settings.items() for part in (f"--{name}", value)),
        ]


class RedisByTLSWithUsers(RedisByTLS, RedisWithUsers):
    """One that speaks TLS, and lets only those users in that a file names."""

    def __init__(self, users: str) -> None:
        super().__init__(users, asks_clients=False)
        about = subprocess.run(
            [str(self._installed), "--version"], check=True, capture_output=True, text=True
        )
        if " v=7.0." in about.stdout and "Redis server" in about.stdout:  # as docs/security.md says
            self.users = re.sub(r" \+(client\|setinfo|waitaof)\b", "", users)

    def url_by_tls(self, credentials: str = "", **query: str) -> str:
        """Its REDIS_URL for a user, given as `name:password`; it trusts the CA."""
        return super().url_by_tls(credentials, ssl_ca_certs=str(self.path("ca.pem")), **query)
