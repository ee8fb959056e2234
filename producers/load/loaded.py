"""What became of a file's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

_LISTED = 20

What = Literal["bad", "rejected", "dead"]


class Problem(NamedTuple):
    """A row that came to nothing: the line it begins on, and why."""

    line: int
    what: What
    reason: str


@dataclass
class Loaded:
    """A file's rows, counted by what became of them; `problems` lists the first twenty that came to nothing.

    `applied`, `rejected` and `dead` are known where the load waits for results; `unanswered` are those whose
    result was no longer kept. A row that was there already is `duplicate`, and `applied`: with a key, by its
    key, whatever its other content. Only the worker knows, so where a load does not wait for results such
    rows are `accepted`. `rejected` has what the worker refuses, and a key that comes twice in the file with
    other content.

    Rows whose command has no import are known by the queue instead, for as long as it remembers them: as
    `duplicate`, or, with other content under their key, as `rejected`.

    `rejects` is the file that has the rows that came to nothing. `read` of `size` bytes are read; `note` says
    what is being waited for.
    """

    rows: int = 0
    bad: int = 0
    accepted: int = 0
    duplicate: int = 0
    applied: int = 0
    rejected: int = 0
    dead: int = 0
    unanswered: int = 0
    problems: list[Problem] = field(default_factory=list)
    read: int = 0
    size: int = 0
    note: str = ""
    rejects: Path | None = None

    @property
    def unlisted(self) -> int:
        """How many rows came to nothing without being listed."""
        return self.bad + self.rejected + self.dead - len(self.problems)

    def add(self, line: int, what: What, reason: str) -> None:
        """Count a row that came to nothing."""
        match what:
            case "bad":
                self.bad += 1
            case "rejected":
                self.rejected += 1
            case "dead":
                self.dead += 1
        if len(self.problems) < _LISTED:
            self.problems.append(Problem(line, what, reason))
