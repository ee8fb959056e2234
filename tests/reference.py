"""What a query means, in plain Python over rows in memory: the reference for what the database answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from producers.commands.conditions import Compare, Condition, Has, Junction, Not
from producers.commands.listing import Listing
from producers.commands.query import Term

Record = dict[str, Any]
"""A row: its columns, and its relations as a list of rows, one row or None."""
Joined = dict[tuple[str, ...], Record | None]
"""The row and those that are joined to it, by their paths."""


def listed(
    records: Sequence[Record], command: Listing, behind: Mapping[tuple[str, ...], Sequence[Record]]
) -> list[Record]:
    """The rows of a list: whole ones, or the chosen fields; in order, with offset and limit.

    `behind` has all rows of the entities that relations lead to, for a full join.
    """
    combined = list(_combined(records, command, behind))
    if command.where is not None:
        combined = [joined for joined in combined if holds(command.where, joined)]

    def compared(one: Joined, other: Joined) -> int:
        return _compared(command.order, one, other)

    rows = sorted(combined, key=cmp_to_key(compared))
    if command.fields:
        found = [{".".join(path): _at(path, joined) for path in command.paths} for joined in rows]
        if command.distinct:
            found = [row for place, row in enumerate(found) if row not in found[:place]]
    else:
        found = [joined[()] or {} for joined in rows]
    return found[command.offset :][: command.limit]


def holds(condition: Condition, joined: Joined) -> bool | None:
    """Whether a condition holds, with SQL's three truths: None is unknown."""
    match condition:
        case Not(condition=negated):
            truth = holds(negated, joined)
            return None if truth is None else not truth
        case Junction(word=word, conditions=conditions):
            truths = [holds(part, joined) for part in conditions]
            decisive = word == "or"
            if decisive in truths:
                return decisive
            return None if None in truths else not decisive
        case Has(path=path, where=where):
            rows = _reached(path, joined, through=path[:-1])
            return any(where is None or holds(where, {(): row}) for row in rows)
        case Compare(path=path) if path[:-1] in joined:
            row = joined[path[:-1]]
            return _comparison(None if row is None else row[path[-1]], condition)
        case Compare(path=path):
            rows = _reached(path[:-1], joined, through=path[:-1])
            return any(_comparison(row[path[-1]], condition) for row in rows)
    raise TypeError(condition)


def _combined(
    records: Sequence[Record], command: Listing, behind: Mapping[tuple[str, ...], Sequence[Record]]
) -> Iterator[Joined]:
    """Each row with what the chosen fields join to it."""
    rows: list[Joined] = [{(): record} for record in records]
    for path in command.joined:
        grown: list[Joined] = []
        for joined in rows:
            partners = _related(joined[path[:-1]], path[-1:])
            if partners or command.join != "inner":
                paired: Sequence[Record | None] = partners or [None]
                grown += [{**joined, path: partner} for partner in paired]
        if command.join == "full":
            nothing: Joined = dict.fromkeys(grown[0])
            grown += [
                {**nothing, path: partner}
                for partner in behind[path]
                if not any(joined[path] is partner for joined in grown)
            ]
        rows = grown
    yield from rows


def _reached(path: tuple[str, ...], joined: Joined, *, through: tuple[str, ...]) -> list[Record]:
    """The rows that a path leads to: from the row of the pair as far as that one goes, then on to all."""
    known = max((there for there in joined if through[: len(there)] == there), key=len)
    return _related(joined[known], path[len(known) :])


def _related(row: Record | None, path: tuple[str, ...]) -> list[Record]:
    rows = [] if row is None else [row]
    for name in path:
        rows = [
            related
            for one in rows
            for related in (one[name] if isinstance(one[name], list) else [one[name]])
            if related is not None
        ]
    return rows


def _at(path: tuple[str, ...], joined: Joined) -> Any:
    crossed = path[:-1]  # where only the order crosses it, it leads to one row at most
    row = joined[crossed] if crossed in joined else next(iter(_related(joined[()], crossed)), None)
    return None if row is None else row[path[-1]]


def _compared(order: Sequence[Term], one: Joined, other: Joined) -> int:
    for term in order:
        left, right = _at(term.path, one), _at(term.path, other)
        if left == right:
            continue
        if left is None or right is None:
            return 1 if left is None else -1
        return (1 if left > right else -1) * (-1 if term.down else 1)
    return 0


def _comparison(value: Any, condition: Compare) -> bool | None:
    wanted = condition.value
    match condition.operator:
        case "==" if wanted is None:
            return value is None
        case "!=" if wanted is None:
            return value is not None
        case "in" if not wanted:
            return False
        case "not in" if not wanted:
            return True
    if value is None:
        return None
    return bool(_OPERATORS[condition.operator](value, wanted))


def _like(text: str, pattern: str) -> bool:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(regex, text, re.DOTALL) is not None


_OPERATORS: dict[str, Any] = {
    "==": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "<": lambda value, wanted: value < wanted,
    "<=": lambda value, wanted: value <= wanted,
    ">": lambda value, wanted: value > wanted,
    ">=": lambda value, wanted: value >= wanted,
    "like": _like,
    "contains": lambda value, wanted: wanted in value,
    "startswith": lambda value, wanted: value.startswith(wanted),
    "endswith": lambda value, wanted: value.endswith(wanted),
    "in": lambda value, wanted: value in wanted,
    "not in": lambda value, wanted: value not in wanted,
}
