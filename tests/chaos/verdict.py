"""The checker after every run: what was accepted, how it ended, and what is in the database."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import Atomic, Command
from producers.wire import Keys
from tests.chaos.app import ACCOUNTS, JOURNAL, Block, Change, Stall, Transfer
from worker.tables import worker_tables


@dataclass
class Verdict:
    """What is wrong: each list is empty where all is well. `endings` counts them."""

    accepted: int
    endings: dict[str, int]
    waiting: int = 0
    lost: list[UUID] = field(default_factory=list)
    """Accepted, and neither ended nor in the queue; or applied, and no effect is there."""
    twice: list[int] = field(default_factory=list)
    """Effects that are there more than once, or though their command has another ending."""
    out_of_order: list[str] = field(default_factory=list)
    """Accounts whose commits are not in the order of acceptance."""
    wrong: list[str] = field(default_factory=list)
    """Accounts that have another value than the commits, carried out on a model, come to."""

    @property
    def is_well(self) -> bool:
        return not (self.lost or self.twice or self.out_of_order or self.wrong)


Sent = dict[UUID, Command[Any]]
"""Commands by their ids, in the order of their acceptance."""


async def verdict(engine: AsyncEngine, redis: Redis, keys: Keys, sent: Sent) -> Verdict:
    """Compare what was sent with what is there."""
    processed = worker_tables(None).processed_commands
    async with engine.connect() as connection:
        endings: dict[UUID, str] = dict(
            (await connection.execute(select(processed.c.command_id, processed.c.ending))).tuples().all()
        )
        journal = (await connection.execute(select(JOURNAL).order_by(JOURNAL.c.place))).all()
        rows: dict[str, int] = dict((await connection.execute(select(ACCOUNTS))).tuples().all())
    queued = {member.decode().split(":")[1] for member in await redis.zrange(keys.queue, 0, -1)}
    found = Verdict(len(sent), dict(Counter(endings[id_] for id_ in sent if id_ in endings)))
    _judge_effects(found, sent, endings, queued, Counter((row.number, row.name) for row in journal))
    _judge_rows(found, sent, journal, rows)
    return found


def _judge_effects(
    found: Verdict,
    sent: Sent,
    endings: dict[UUID, str],
    queued: set[str],
    effects: Counter[tuple[int, str]],
) -> None:
    """Accepted writes are endings and waiting ones, by id; what is applied is there exactly once."""
    for command_id, command in sent.items():
        if command_id in endings:
            expected = int(endings[command_id] == "applied")
            parts = effects_of(command)
            found.lost += [command_id for part in parts if effects[part] < expected]
            found.twice += [part[0] for part in parts if effects[part] > expected]
        elif str(command_id) in queued:
            found.waiting += 1
        else:
            found.lost.append(command_id)


def _judge_rows(found: Verdict, sent: Sent, journal: Sequence[Row[Any]], rows: dict[str, int]) -> None:
    """Commits are in the order of acceptance, and rows are what the commits come to on a model."""
    order, model = defaultdict[str, list[int]](list), dict[str, int]()
    for row in journal:
        order[row.name].append(row.number)
        if row.change == "remove":
            model.pop(row.name, None)
        else:
            model[row.name] = row.by + (model.get(row.name, 0) if row.change == "add" else 0)
    places = {part: place for place, command in enumerate(sent.values()) for part in effects_of(command)}
    changes = [part for command in sent.values() for part in _parts(command) if isinstance(part, Change)]
    for name in {part.name for part in changes}:
        accepted = [places[number, name] for number in order[name] if (number, name) in places]
        if accepted != sorted(accepted):
            found.out_of_order.append(name)
        if rows.get(name) != model.get(name):
            found.wrong.append(name)


def effects_of(command: Command[Any]) -> list[tuple[int, str]]:
    """List what a command writes into the journal: numbers and accounts."""
    return [
        (part.number, part.first if isinstance(part, Transfer) else part.name)
        for part in _parts(command)
        if isinstance(part, Change | Stall | Block | Transfer)
    ]


def _parts(command: Command[Any]) -> list[Command[Any]]:
    return list(command.commands) if isinstance(command, Atomic) else [command]
