"""What may be asked of the CRUD worker, and how to ask it.

Nothing here imports the worker, SQLAlchemy or a database driver.
"""

from .blocking import BlockingProducer, BlockingReceipt
from .client import Producer, Receipt
from .commands import Atomic, Command, F, Page, Payload, Query, Ref, View
from .errors import (
    CommandConflict,
    CommandDead,
    CommandError,
    CommandParked,
    CommandRejected,
    CommandSuperseded,
    DurabilityUnconfirmed,
    InvalidSettings,
    MultipleFound,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    QueueUnavailable,
    ResultExpired,
    ResultTimeout,
)
from .passwords import hash_password
from .settings import QueueSettings

__all__ = [
    "Atomic",
    "BlockingProducer",
    "BlockingReceipt",
    "Command",
    "CommandConflict",
    "CommandDead",
    "CommandError",
    "CommandParked",
    "CommandRejected",
    "CommandSuperseded",
    "DurabilityUnconfirmed",
    "F",
    "InvalidSettings",
    "MultipleFound",
    "NotFound",
    "Page",
    "Payload",
    "PayloadTooLarge",
    "Producer",
    "Query",
    "QueueFull",
    "QueueSettings",
    "QueueUnavailable",
    "Receipt",
    "Ref",
    "ResultExpired",
    "ResultTimeout",
    "View",
    "hash_password",
]
