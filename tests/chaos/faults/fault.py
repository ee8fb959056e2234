"""What a fault is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.field import Field


@dataclass(frozen=True)
class Fault:
    """A way to do harm. `run` sends commands, starts the crew and does it; what it says is in the README.

    All commands have to end within `patience` seconds after it. `ends` are the endings that are allowed;
    `options` are those of `open_field`.
    """

    run: Callable[[Field], Awaitable[None]]
    says: str
    load: int
    patience: float = 120
    ends: tuple[str, ...] = ("applied", "rejected")
    options: dict[str, Any] = field(default_factory=dict)
    quick: float = 0.1
    """Its scale in `make check`; 0 leaves it out there."""

    @property
    def name(self) -> str:
        return self.run.__name__
