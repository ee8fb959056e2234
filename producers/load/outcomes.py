"""What becomes of rows: counted, listed, and written to a file where they came to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..client import Receipt
from ..commands import Imported
from ..errors import BadRow, CommandConflict, CommandDead, CommandParked, CommandRejected, ResultExpired
from ..wire import Answer
from .bulk import RowCommand
from .loaded import Loaded, What
from .rejects import Rejects

OnError = Literal["stop", "skip"]


class Outcomes:
    """Counts into `loaded`; rows that come to nothing go to `rejects`, if it is given."""

    def __init__(
        self, path: Path, loaded: Loaded, *, on_error: OnError, rejects: Rejects | None = None
    ) -> None:
        self.loaded = loaded
        self._path, self._rejects, self._on_error = path, rejects, on_error

    def bad(self, line: int, source: list[str] | str, reason: str) -> None:
        """Count a bad row; raise BadRow where it is to stop the load."""
        if self._on_error == "stop":
            self.loaded.add(line, "bad", reason)
            raise BadRow(self._path, line, reason)
        self.add(line, source, "bad", reason)

    def add(self, line: int, source: list[str] | str, what: What, reason: str) -> None:
        """Count a row that came to nothing, and keep it."""
        self.loaded.add(line, what, reason)
        if self._rejects is not None:
            self._rejects.add(source, reason)
            self.loaded.rejects = self._rejects.path

    def sent(self, rows: Sequence[RowCommand], status: str | None) -> None:
        """Count rows that were handed to the queue."""
        match status:
            case "accepted":
                self.loaded.accepted += len(rows)
            case "duplicate":
                self.loaded.duplicate += len(rows)
            case None:
                for row in rows:
                    self.add(
                        row.line, row.source, "rejected", "its key was loaded before, with other content"
                    )

    def answered(self, rows: Sequence[RowCommand], answer: Answer, receipt: Receipt[Any]) -> bool:
        """Count rows that ended together; False where each of them has a result of its own."""
        try:
            answer.raise_error(receipt.command_id)
        except (CommandRejected, CommandConflict) as error:
            self._came_to_nothing(rows, "rejected", str(error))
        except (CommandDead, CommandParked) as error:
            self._came_to_nothing(rows, "dead", str(error))
        except ResultExpired as error:
            if error.summary is None:
                self.loaded.unanswered += len(rows)
            else:
                self.loaded.applied += len(rows)
        else:
            return False
        return True

    def imported(self, rows: Sequence[RowCommand], imported: Imported, *, accepted: bool) -> None:
        """Count rows that ended each by itself; of those accepted, some were there already."""
        there = len(imported.duplicates)
        self.loaded.applied += imported.written + there
        if accepted:
            self.loaded.accepted -= there
            self.loaded.duplicate += there
        for refusal in imported.rejected:
            for place in refusal.rows:
                row = rows[place]
                self.add(row.line, row.source, "rejected", refusal.message)

    def _came_to_nothing(self, rows: Sequence[RowCommand], what: What, reason: str) -> None:
        for row in rows:
            self.add(row.line, row.source, what, reason)
