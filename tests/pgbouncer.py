"""PgBouncer in transaction mode before a PostgreSQL, on the loopback."""

import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from typing import ClassVar

from sqlalchemy import make_url

from tests import readme
from worker.demo.guard import Owner
from worker.demo.loopback import HOST
from worker.demo.private_server import PrivateServer
from worker.demo.programs import ServerError

_DEFAULT_POOL = 5
"""Connections to PostgreSQL: fewer than a worker has of its own, so sessions do change between them."""


def program() -> str | None:
    """Find it: $PGBOUNCER, or where a system has its servers."""
    where = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    return os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=where)


def version() -> tuple[int, ...]:
    """Say which one it is."""
    said = subprocess.check_output([str(program()), "--version"], text=True)
    return tuple(int(part) for part in re.findall(r"\d+", said)[:2])


class PgBouncer(PrivateServer):
    """A pooler before the PostgreSQL of a URL; user, password and database are as there."""

    graceful: ClassVar[signal.Signals] = signal.SIGINT
    immediate: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, database_url: str) -> None:
        # It refuses to run as root, as PostgreSQL does.
        super().__init__(owner=Owner.named("nobody") if os.geteuid() == 0 else None)
        self._behind = make_url(database_url)

    @property
    def url(self) -> str:
        """The DATABASE_URL that goes through it."""
        through = self._behind.set(host=HOST, port=self.port)
        return through.render_as_string(hide_password=False)

    def _prepare(self) -> None:
        to = self._behind
        (self.folder / "users.txt").write_text(f'"{to.username}" "{to.password}"\n')

    def _command(self) -> list[str]:
        found = program()
        if found is None:
            raise ServerError("no pgbouncer is installed")
        config = self.folder / "pgbouncer.ini"
        to = self._behind
        [written] = [block.text for block in readme.blocks("operate.md") if block.language == "ini"]
        config.write_text(
            f"[databases]\n* = host={to.host} port={to.port or 5432}\n[pgbouncer]\n"
            f"listen_addr = {HOST}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {self.folder / 'users.txt'}\n"
            f"default_pool_size = {_DEFAULT_POOL}\n{written}"
        )
        for path in self.folder.iterdir():
            if self.owner:
                os.chown(path, self.owner.uid, self.owner.gid)
        return [found, str(config)]

    def _ready(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
            return True
        return False
