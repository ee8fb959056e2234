"""An App whose handlers tell what they should not: they quote what their command says of a person."""

from datetime import date
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from producers import Command, CommandRejected
from producers.commands import NewId
from producers.commands.personal import Personal, Secret
from worker.app import App
from worker.handlers import HANDLERS
from worker.models import User
from worker.models.migrations import EXAMPLE

PATH = "tests.guarantees.secretive_app:app"
Way = Literal["bug", "cause", "note", "shout", "result", "rejected", "check", "too long", "syntax"]


class Greet(Command[int]):
    """Fail in one of many ways, quoting the person who was to be greeted."""

    kind: ClassVar[str] = "user.greet"

    id: NewId = Field(default_factory=uuid7)
    way: Way
    name: Annotated[str, Personal()]
    born: Annotated[date, Personal()]
    tokens: tuple[Annotated[str, Secret()], ...] = ()


async def greet(session: AsyncSession, command: Greet) -> Any:
    """Fail in its way."""
    match command.way:
        case "bug":
            raise ValueError(f"cannot greet {command.model_dump()} {command.name!r}")
        case "cause":
            raise RuntimeError("cannot greet") from KeyError(command.name)
        case "note":
            error = ValueError("cannot greet")
            error.add_note(f"{command.name}, born {command.born}")
            raise error
        case "shout":
            raise ExceptionGroup(command.name.upper(), [ValueError(command.tokens[0])])
        case "result":
            return command.name
        case "rejected":
            raise CommandRejected(f"{command.name} is no friend of ours", code="no_friend", field="name")
        case "check":
            await session.execute(insert(User).values(_row(command) | {"age": -1}))
        case "too long":
            await session.execute(insert(User).values(_row(command) | {"name": command.name * 100}))
        case "syntax":
            connection = await session.connection()
            await connection.exec_driver_sql(f'SELECT 1 FROM "{command.born}"')  # noqa: S608
    return 0


def _row(command: Greet) -> dict[str, Any]:
    return {"id": UUID(int=1), "name": command.name, "hashed_password": command.tokens[0]}


app = App({**HANDLERS, Greet: greet}, migrations=[EXAMPLE])
