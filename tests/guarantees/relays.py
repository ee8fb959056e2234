"""A relay beside those of the workers."""

from producers import Producer
from worker.app import App
from worker.epochs import Epochs
from worker.leader import Leader
from worker.relay import Relay


class Leading(Leader):
    """One that leads whoever else does, and takes the lead from nobody."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.is_leading = True

    async def leads(self) -> bool:
        return True

    async def resign(self) -> None:
        pass


def relay_of(app: App, producer: Producer) -> Relay:
    """Make a relay beside those of the workers."""
    return Relay(app, producer.redis, Leading(app), Epochs(app, producer.redis))
