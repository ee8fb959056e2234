"""What the pages show of values, nothing personal and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producers.commands.personal import hidden, hidden_result, personal_values, without

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
