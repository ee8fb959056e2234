"""What a test brings about in a queue from outside."""

from uuid import uuid4

from producers import Producer
from producers.commands import CreateUser


async def misnamed(producer: Producer) -> None:
    """Put a job under the name of another command than its own: workers refuse it."""
    sent = await producer.send(CreateUser(name="eve"), delay=86400)
    job = await producer.redis.get(producer.keys.job(sent.command_id))
    other = producer.keys.job(uuid4())
    await producer.redis.set(other, job)
    await producer.redis.zadd(producer.keys.queue, {other.removeprefix("arq:job:"): 1})
