"""A private PostgreSQL and a private Redis for the demo and the tests, and for these a private MariaDB."""

import os
import secrets
import signal
import socket
from pathlib import Path
from typing import ClassVar

from .guard import Guard, Owner
from .loopback import HOST
from .private_server import PrivateServer
from .programs import ServerError, copied, mariadb_programs, postgres_programs, redis_program

__all__ = ["MariaDBServer", "PostgresServer", "RedisServer", "ServerError"]

_INITDB = (
    "--username=postgres",
    "--auth-local=trust",  # its folder lets nobody else in
    "--auth-host=password",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",  # the same order of names on every machine
    "--no-sync",
)
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(PrivateServer):
    """PostgreSQL 18 on a socket in its own folder; with `tcp` on a port of the loopback, by password.

    `durable=False` does not wait for the disk: a killed server still loses nothing, a crashed machine would.
    """

    graceful: ClassVar[signal.Signals] = signal.SIGINT
    immediate: ClassVar[signal.Signals] = signal.SIGQUIT

    def __init__(self, *, tcp: bool = False, durable: bool = True) -> None:
        # PostgreSQL refuses to run as root; `nobody` is there on every system, and no account has to be made.
        super().__init__(owner=Owner.named("nobody") if os.geteuid() == 0 else None)
        self._tcp = tcp
        self._durable = durable
        self._password = secrets.token_hex(16)
        if not tcp:
            self.port = 5432  # names the socket's file only, and clients assume it

    @property
    def url(self) -> str:
        """Its DATABASE_URL."""
        if self._tcp:
            return f"postgresql+asyncpg://postgres:{self._password}@{HOST}:{self.port}/postgres"
        return f"postgresql+asyncpg://postgres@/postgres?host={self.folder}"

    def _prepare(self) -> None:
        self._programs = postgres_programs()
        secret = self.folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o600)
        if self.owner:
            # That account may not be able to enter the folders above the wheel's own.
            self._programs = copied(self._programs, self.folder)
            os.chown(secret, self.owner.uid, self.owner.gid)
        command = [str(self._programs / "initdb"), f"--pgdata={self._data}", f"--pwfile={secret}", *_INITDB]
        if not Guard(command, folder=self.folder, stop_signal=self.immediate, owner=self.owner).wait():
            raise ServerError(f"initdb failed:\n{self.log}")

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST if self._tcp else "",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "100",
            "timezone": "UTC",
            **({} if self._durable else _NOT_DURABLE),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self._data), *options]

    def _ready(self) -> bool:
        """Whether the server's own status file says so, as pg_ctl reads it."""
        try:
            status = (self._data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return [status[0], *(line.strip() for line in status[7:8])] == [str(self.pid), "ready"]

    @property
    def _data(self) -> Path:
        return self.folder / "data"


class MariaDBServer(PrivateServer):
    """MariaDB, where it is installed, on a socket in its own folder; it does not wait for the disk."""

    graceful: ClassVar[signal.Signals] = signal.SIGTERM
    immediate: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self) -> None:
        # It refuses to run as root, as PostgreSQL does.
        super().__init__(owner=Owner.named("nobody") if os.geteuid() == 0 else None)
        self.programs = mariadb_programs()

    @property
    def url(self) -> str:
        """Its DATABASE_URL, but for the name of a database."""
        return f"mariadb+asyncmy://root@localhost/?unix_socket={self._socket}"

    def _prepare(self) -> None:
        command = [
            *(
                self.programs[1],
                "--no-defaults",
                f"--datadir={self._data}",
                f"--tmpdir={self.folder}",
                "--skip-test-db",
                "--skip-name-resolve",
            ),
            "--auth-root-authentication-method=normal",  # its folder lets nobody else in
        ]
        if not Guard(command, folder=self.folder, stop_signal=self.immediate, owner=self.owner).wait():
            raise ServerError(f"mariadb-install-db failed:\n{self.log}")

    def _command(self) -> list[str]:
        settings = {
            "datadir": str(self._data),
            "socket": str(self._socket),
            "pid-file": str(self.folder / "mariadbd.pid"),
            "tmpdir": str(self.folder),
            "innodb-flush-log-at-trx-commit": "0",
            "innodb-doublewrite": "0",
            "innodb-file-per-table": "0",
            "innodb-buffer-pool-size": "64M",
            "innodb-log-file-size": "32M",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self.programs[0], "--no-defaults", "--skip-networking", *options]

    def _ready(self) -> bool:
        """Whether it greets whoever connects."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                return bool(connection.recv(5))
        except OSError:
            return False

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"


class RedisServer(PrivateServer):
    """Redis (or Valkey) on a free port of the loopback, keeping nothing on disk unless `appendonly`."""

    graceful: ClassVar[signal.Signals] = signal.SIGTERM
    immediate: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, *, appendonly: bool = False) -> None:
        super().__init__()
        self._appendonly = appendonly

    @property
    def url(self) -> str:
        """Its REDIS_URL."""
        return f"redis://{HOST}:{self.port}/0"

    def _prepare(self) -> None:
        self._program = redis_program()

    def _command(self) -> list[str]:
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self._appendonly else "no",
            "appendfsync": "always",  # the default may put a write off while the disk is slow, and answer it
            "maxmemory-policy": "noeviction",
        }
        return [self._program, *(part for name, value in settings.items() for part in (f"--{name}", value))]

    def _ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                # Not PING: where another server has taken the port, that one would answer in place of ours.
                connection.sendall(b"INFO server persistence\r\n")
                said = connection.recv(1 << 16)
                return f"\r\nprocess_id:{self.pid}\r\n".encode() in said and b"\r\nloading:0\r\n" in said
        except OSError:
            return False
