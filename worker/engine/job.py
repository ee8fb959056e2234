"""What the engine holds of a job: its claim, and how it is settled."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Literal

logger = logging.getLogger("arq.worker")

Verb = Literal["finish", "later", "wait", "again", "back"]
"""Finish it; run it in a while; in its old place again; "wait" and "back" are these two, and do not count."""


@dataclass(slots=True, eq=False)
class Claim:
    """A job that this worker may run, as long as it renews the lease.

    `silent` counts the runs before that ended without a word: with their process, that is. `raw_id` and
    `body` are what is in Redis; `body` is None where the job is queued and has no payload.
    """

    raw_id: bytes
    token: str
    score: float
    tries: int
    silent: int
    aborted: bool
    body: bytes | None = field(repr=False)
    renewed: float
    """When the lease was last renewed, at the earliest: by the monotonic clock."""
    lost: bool = False
    job_id: str = field(init=False)
    """The id as text; bytes that are none are escaped."""

    def __post_init__(self) -> None:
        self.job_id = self.raw_id.decode(errors="surrogateescape")

    @property
    def is_text(self) -> bool:
        """Whether the id is text."""
        return self.job_id.encode(errors="replace") == self.raw_id


@dataclass(slots=True)
class Settlement:
    """How a run ended: what Redis is to be told, and `value`, what the coroutine returned.

    `delay` (ms) is for "later" and "wait"; `result` and `keep_result` (ms, None for ever) are for "finish".
    With `keep_progress` (ms) no other job of this id runs meanwhile; never, if it `ran_already`.
    """

    claim: Claim
    verb: Verb
    value: Any = None
    delay: int = 0
    result: bytes | None = field(default=None, repr=False)
    keep_result: int | None = None
    keep_progress: int | None = None
    ran_already: bool = False
    ctx: dict[Any, Any] = field(default_factory=dict, repr=False)

    def arguments(self) -> list[str | bytes]:
        """List its arguments of the script."""
        told: tuple[str | bytes, str, str] = (f"{self.claim.score:.0f}", "", "")
        match self.verb:
            case "finish":
                keep = "" if self.keep_result is None else str(self.keep_result)
                kept = "" if self.keep_progress is None else str(self.keep_progress)
                told = (self.result or b"", keep, kept)
            case "later" | "wait":
                told = (str(self.delay), "", "")
        progress = "done" if self.ran_already else "kept"
        return [self.claim.raw_id, self.claim.token, self.verb, *told, progress]
