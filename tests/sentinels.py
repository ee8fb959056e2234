"""A master, its replica, and three sentinels that watch them, on the loopback."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import redis
from redis.exceptions import RedisError

from tests.waiting import until
from worker.demo.loopback import HOST
from worker.demo.servers import RedisServer

MASTER = "mymaster"


class SentinelServer(RedisServer):
    """A sentinel: two of three have to miss the master for half a second."""

    quorum: ClassVar[int] = 2

    def __init__(self, watched: int) -> None:
        super().__init__()
        self._watched = watched

    def _command(self) -> list[str]:
        lines = [
            *(f"port {self.port}", f"bind {HOST}", f"dir {self.folder}"),
            f"sentinel monitor {MASTER} {HOST} {self._watched} {self.quorum}",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 5000",
        ]
        config = self._config
        if not config.exists():  # from then on it is the sentinel's own
            config.write_text("\n".join(lines) + "\n")
        return [self._program, str(config), "--sentinel"]

    def _ready(self) -> bool:
        try:
            with redis.Redis(host=HOST, port=self.port) as client:
                return bool(client.info("server")["process_id"] == self.pid)
        except RedisError:
            return False

    @property
    def _config(self) -> Path:
        return self.folder / f"sentinel-{self.port}.conf"


@dataclass
class Watched:
    """All of them."""

    servers: list[RedisServer]
    sentinels: list[SentinelServer]

    @property
    def url(self) -> str:
        """The REDIS_URL that names the sentinels."""
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}/0"

    def master(self) -> int:
        """Ask the sentinels for the port of the master; 0 where they do not agree."""
        told = set()
        for sentinel in self.sentinels:
            with redis.Redis(host=HOST, port=sentinel.port) as client:
                told.add(client.sentinel_get_master_addr_by_name(MASTER)[1])
        return told.pop() if len(told) == 1 else 0

    def is_ready(self) -> bool:
        """Whether each sentinel knows the two others and the replica, which follows."""
        for sentinel in self.sentinels:
            with redis.Redis(host=HOST, port=sentinel.port) as client:
                known = client.sentinel_master(MASTER)
                if (known["num-other-sentinels"], known["num-slaves"]) != (2, 1):
                    return False
                [replica] = client.sentinel_slaves(MASTER)
                if replica["is_sdown"] or replica["flags"] != "slave":
                    return False
        return self._follows()

    def _follows(self) -> bool:
        port = self.master()
        try:
            with redis.Redis(host=HOST, port=port) as client:
                return "online" in str(client.info("replication").get("slave0"))
        except RedisError:
            return False

    async def ready(self) -> None:
        """Wait for that."""
        await until(self.is_ready)

    def kill_master(self) -> RedisServer:
        """Kill the master, and return it; the sentinels find out by themselves."""
        port = self.master()
        [server] = [server for server in self.servers if server.port == port]
        server.kill()
        return server

    def other(self, port: int) -> RedisServer:
        """The server that is not at this port."""
        [server] = [server for server in self.servers if server.port != port]
        return server


@contextmanager
def watched() -> Iterator[Watched]:
    """Start them; a replica is a Redis that is told so."""
    with ExitStack() as stack:
        master, replica = [stack.enter_context(RedisServer(appendonly=True)) for _ in range(2)]
        with redis.Redis(host=HOST, port=replica.port) as client:
            client.execute_command("REPLICAOF", HOST, master.port)
        sentinels = [stack.enter_context(SentinelServer(master.port)) for _ in range(3)]
        yield Watched([master, replica], sentinels)
