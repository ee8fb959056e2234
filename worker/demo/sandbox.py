"""`python -m worker.demo.sandbox COMMAND...`: run it on a migrated PostgreSQL and a Redis of its own."""

import os
import subprocess
import sys
from pathlib import Path

from .servers import PostgresServer, RedisServer


def main(command: list[str]) -> int:
    """Run `command` with DATABASE_URL and REDIS_URL set; both servers are gone afterwards."""
    with PostgresServer() as postgres, RedisServer() as redis:
        environment = {**os.environ, "DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        migrate = [sys.executable, "-m", "worker", "migrate"]
        subprocess.run(migrate, env=environment, check=True, stdout=sys.stderr)  # noqa: S603  # our own
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603  # the caller's


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or sys.exit(__doc__)))
