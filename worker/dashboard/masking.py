"""What the pages show of values, nothing personal and no secret; and how a hidden value comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producers.commands.personal import HIDDEN, hidden, hidden_result, personal_values, without

if TYPE_CHECKING:
    from producers.commands import Registry


def shown_payload(registry: Registry, kind: str, payload: Any) -> Any:
    """Return a payload as it may be shown; None where there is none."""
    return None if payload is None else hidden(registry.get(kind), payload, registry)


def shown_result(registry: Registry, kind: str, result: Any, payload: Any) -> Any:
    """Return a result as it may be shown; None where there is none."""
    return None if result is None else hidden_result(registry.get(kind), result, payload, registry)


def shown_trace(registry: Registry, kind: str, payload: Any, trace: str) -> str:
    """Return a traceback as it may be shown; of a kind that nobody knows only its frames."""
    command = registry.get(kind)
    if command is not None and payload is not None:
        return without(trace, personal_values(command, payload, registry))
    return "\n".join(line for line in trace.splitlines() if line.startswith("  "))


def restored(given: Any, shown: Any, before: Any) -> Any:
    """Put back what was hidden in an edited value, from the value before; `shown` is what a person saw of it.

    Items of a list have no names: where some were added or taken away and others are hidden, nobody can
    tell which is which, and ValueError is raised.
    """
    if given == HIDDEN and shown == HIDDEN:
        return before
    if isinstance(given, dict) and isinstance(shown, dict):
        return {
            name: restored(value, shown[name], before[name]) if name in shown else value
            for name, value in given.items()
        }
    if isinstance(given, list) and isinstance(shown, list):
        if len(given) == len(shown):
            return [restored(*parts) for parts in zip(given, shown, before, strict=True)]
        if _holds_hidden(given):
            raise ValueError(f"the number of items has changed: write the values anew that are {HIDDEN!r}")
    return given


def _holds_hidden(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_hidden, value.values()))
    if isinstance(value, list):
        return any(map(_holds_hidden, value))
    return bool(value == HIDDEN)
