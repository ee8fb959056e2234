"""Kill workers, and take Redis away, under a load; say what became of the commands.

python -m tests.chaos [kills] [restarts] [cut] [blackhole] [--commands N] [--kills N] [--seed N]

Servers and workers are its own. Exit 1 where a command was lost or applied twice, or a worker ended.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import Producer, QueueSettings
from tests.chaos.crew import Crew, ended, prepared, report, send, until_all_have_ended
from tests.proxy import Proxy
from worker.demo.servers import PostgresServer, RedisServer

QUEUE = "chaos"


@dataclass
class Field:
    """All that a fault may act on."""

    crew: Crew
    engine: AsyncEngine
    redis: RedisServer
    proxy: Proxy
    chance: random.Random
    commands: int
    kills: int

    async def part(self, share: float) -> None:
        """Wait until that share of the commands has ended."""
        await until_all_have_ended(self.engine, round(self.commands * share), patience=300)


async def kills(field: Field) -> None:
    """SIGKILL of a random worker, again and again, while there is work."""
    for number in range(1, field.kills + 1):
        await field.part(number / (field.kills + 10))
        await field.crew.kill(field.chance)


async def restarts(field: Field) -> None:
    """Redis is killed and started again, twenty times."""
    for number in range(1, 21):
        await field.part(number / 25)
        field.redis.kill()
        await asyncio.sleep(field.chance.uniform(0.1, 1))
        field.redis.start()


async def cut(field: Field) -> None:
    """The workers are cut off from Redis for a minute."""
    await field.part(0.3)
    field.proxy.refuse()
    field.proxy.cut()
    await asyncio.sleep(60)
    field.proxy.accept()


async def blackhole(field: Field) -> None:
    """Redis says nothing for half a minute, and no connection is closed."""
    await field.part(0.3)
    field.proxy.blackhole()
    await asyncio.sleep(30)
    field.proxy.resume()


FAULTS: dict[str, Callable[[Field], Awaitable[None]]] = {
    fault.__name__: fault for fault in (kills, restarts, cut, blackhole)
}


async def run(name: str, options: argparse.Namespace) -> bool:
    """Run one fault; say whether all was well."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        redis = stack.enter_context(RedisServer(appendonly=True))
        trace = stack.enter_context(RedisServer())
        engine = await prepared(postgres)
        parts = urlsplit(redis.url)
        proxy = await stack.enter_async_context(Proxy(parts.hostname or "", parts.port or 0))
        behind = parts._replace(netloc=f"{proxy.host}:{proxy.port}").geturl()
        async with Producer(settings=QueueSettings(redis_url=redis.url, name=QUEUE)) as producer:
            await send(producer, options.commands)
        crew = Crew(postgres.url, behind, trace.url, QUEUE, 4)
        began = time.monotonic()
        try:
            field = Field(
                crew,
                engine,
                redis,
                proxy,
                random.Random(options.seed),  # noqa: S311  # not a secret
                options.commands,
                options.kills,
            )
            await FAULTS[name](field)
            over = time.monotonic()
            await until_all_have_ended(engine, options.commands, patience=120)
        finally:
            crew.end()
        async with Redis.from_url(trace.url) as client:
            found = await report(engine, client, options.commands, crew.ends)
        took = f"{over - began:.0f} s of fault, {time.monotonic() - over:.0f} s after"
        print(f"{name} (seed {options.seed}): {found.line()}; {crew.unasked} workers ended unasked; {took}")
        unfinished = options.commands - await ended(engine)
        await engine.dispose()
    return not (found.lost or found.twice or crew.unasked or unfinished)


def main() -> int:
    """Run the faults that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], default=[])
    parser.add_argument("--commands", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311  # as above
    options = parser.parse_args()
    wells = [asyncio.run(run(name, options)) for name in options.faults or FAULTS]
    return 0 if all(wells) else 1


if __name__ == "__main__":
    sys.exit(main())
