"""Which dead letters are meant on the command line: by their ids, or all of a group, kind, error or place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import UUID

import click

from producers.wire import command_uuid

from ..failures import ALL, Choice, chosen, group
from .group import Failed

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from ..app import App

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--group", "group_id", metavar="GROUP", help="Those of a group, as `dead groups` names it."),
    click.option("--kind", metavar="KIND", help="Those of a kind, such as user.create."),
    click.option("--code", metavar="CODE", help="Those with this error, such as unique_violation."),
    click.option("--place", metavar="PLACE", help="Those that failed at this place in the code."),
)


def chosen_by(function: F) -> F:
    """Add the options that say which letters are meant; `Chosen` takes them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


class Chosen(NamedTuple):
    """What was said on the command line about which letters are meant."""

    group_id: str | None = None
    kind: str | None = None
    code: str | None = None
    place: str | None = None

    async def choice(self, session: AsyncSession, app: App) -> Choice:
        """Say which letters have all of it."""
        choice = ALL
        if self.group_id is not None:
            found = await group(session, app.tables, self.group_id)
            if found is None:
                raise Failed(
                    f"no letter of a group {self.group_id} waits; see `python -m worker dead groups`"
                )
            choice = found.choice
        narrowed = {name: getattr(self, name) for name in ("kind", "code", "place")}
        return choice.narrowed(**{name: value for name, value in narrowed.items() if value is not None})


def many(command_ids: tuple[str, ...], said: Chosen, *, everything: bool) -> bool:
    """Whether letters are chosen by what they have in common, not by their ids; one of the two it must be."""
    by_choice = everything or any(said)
    if by_choice == bool(command_ids):
        raise click.UsageError(
            "name letters by their ids, or choose them by --group, --kind, --code, --place or --all"
        )
    if everything and any(said):
        raise click.UsageError("--all goes without --group, --kind, --code and --place")
    return by_choice


async def ids_of(app: App, said: Chosen) -> list[UUID]:
    """List the letters that are meant, in the order of their acceptance."""
    async with app.sessions() as session:
        return await chosen(session, app.tables, await said.choice(session, app))


def named(command_ids: tuple[str, ...]) -> list[UUID]:
    """Read ids from the command line."""
    return [command_uuid(given) for given in command_ids]
