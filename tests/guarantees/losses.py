"""What becomes of a Redis: it loses all of a queue, or an old state of it is put in its place."""

from producers import Producer


async def lose_redis(producer: Producer) -> None:
    """Delete all of this queue that Redis has: it is shared with other tests."""
    name = producer.settings.name
    found = [key async for key in producer.redis.scan_iter(f"*{name}*", count=1000)]
    await producer.redis.delete(name, *found)


async def kept(producer: Producer) -> dict[bytes, bytes]:
    """Keep all of this queue that Redis has, as its file would."""
    name = producer.settings.name
    found = [key async for key in producer.redis.scan_iter(f"*{name}*", count=1000)]
    return {key: await producer.redis.dump(key) for key in found}


async def bring_back(producer: Producer, backup: dict[bytes, bytes]) -> None:
    """Put an old state of Redis in the place of what it has."""
    await lose_redis(producer)
    for key, value in backup.items():
        await producer.redis.restore(key, 0, value)
