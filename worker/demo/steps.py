"""The steps of a script: each tells what was sent, what happened and how long it took, or ends the script."""

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

Tell = Callable[[str], None]

_WIDTH = 78  # it fits a terminal and a log


class StepFailed(Exception):
    """A step did not hold."""


class Part:
    """Some steps in a row, with a title; `held` counts those that held, `seconds` is what they took."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        if not __debug__:
            raise SystemExit("the steps check themselves by assert: run them without -O")
        self.title = title
        self.held = 0
        self.seconds = 0.0
        self._console = console or Console(highlight=False)

    def play(self, script: "Callable[[Part], None]") -> int:
        """Run a script below the title; return its exit code: 0 only if every step held."""
        self._console.print(f"\n{self.title}\n{'=' * len(self.title)}", style="bold", markup=False)
        try:
            script(self)
        except StepFailed:
            return 1
        return 0

    @contextmanager
    def step(self, title: str, *, sent: str = "", ran: str = "") -> Iterator[Tell]:
        """Run a step, which tells what happened; raise StepFailed, already told, where it does not hold.

        `sent` says what it sends, and `ran` which programs it runs.
        """
        did = [f"{what}: {text}" for what, text in (("sent", sent), ("ran", ran)) if text]
        happened: list[str] = []
        began = time.perf_counter()
        try:
            with self._console.status(title):
                yield happened.append
        except Exception as error:
            happened.append(_reason(error))
            self._print(("FAILED", "bold red"), title, did, happened, time.perf_counter() - began)
            raise StepFailed(title) from error
        took = time.perf_counter() - began
        self._print(("ok", "bold green"), title, did, happened, took)
        self.held += 1
        self.seconds += took

    def _print(
        self, mark: tuple[str, str], title: str, did: list[str], happened: list[str], took: float
    ) -> None:
        line = Text.assemble(mark, " ", (title, "bold"))
        line.append(f"{took * 1000:.0f} ms".rjust(_WIDTH - len(line)), style="dim")
        self._console.print(line, soft_wrap=True)
        for text, style in (*((text, "dim") for text in did), *((text, "") for text in happened)):
            self._console.print(Text(f"   {text}", style=style), soft_wrap=True)


def _reason(error: Exception) -> str:
    """Say what went wrong; of a bare assert, what it says."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error) or where.line} (in {where.name}, line {where.lineno})"
