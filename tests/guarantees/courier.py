"""A command on its way to its ending, delivered again and again as a queue does, but without the pauses."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from producers.wire import Answer, Envelope
from worker import executor
from worker.app import App
from worker.delivery import Delivery, Failures, Later


@dataclass
class Courier:
    """Brings one command to an App, which a test may change in between.

    `counted` is what was counted against it; `age` says how long ago, in seconds, that began.
    """

    app: App
    envelope: Envelope
    age: float = 0
    counted: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0

    async def deliver(self) -> Answer | Later:
        """Deliver once."""
        self.deliveries += 1
        body, first = self.envelope.encode().encode(), self.deliveries == 1
        delivery = Delivery(
            self.envelope.id, self.app.queue.name, body, self.envelope, self._count, first=first
        )
        return await executor.execute(self.app, delivery)

    async def until_answered(self) -> Answer:
        """Deliver until there is an answer."""
        async with asyncio.timeout(20):
            while True:
                outcome = await self.deliver()
                if isinstance(outcome, Answer):
                    return outcome
                await asyncio.sleep(0.01)

    async def _count(self, reason: str) -> Failures:
        self.counted[reason] += 1
        return Failures(self.counted[reason], self.age)
