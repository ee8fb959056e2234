"""The users of Redis and the roles of PostgreSQL that deploy/ has, for a test."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tests.processes import ROOT

USERS = (ROOT / "deploy" / "redis" / "users.acl").read_text()
_ROLES = (ROOT / "deploy" / "postgres" / "roles.sql").read_text()


def password_of(user: str) -> str:
    """The password that the files give it."""
    return f"CHANGE-ME-{user.upper()}"


@asynccontextmanager
async def roles_on(url: str) -> AsyncIterator[dict[str, str]]:
    """Make the roles in a database, under names of their own; give their URLs by the names of the file."""
    own = f"t{uuid4().hex[:8]}_"
    statements = re.sub(r"\bcrud_", own, re.sub(r"--.*", "", _ROLES))
    roles = re.findall(rf"CREATE ROLE {own}(\w+)", statements)
    async with engine_as(url) as engine:
        async with engine.begin() as connection:
            for statement in filter(str.strip, statements.split(";")):
                await connection.execute(text(statement))
        yield {
            role: make_url(url)
            .set(username=f"{own}{role}", password=password_of(role))
            .render_as_string(hide_password=False)
            for role in roles
        }
        async with engine.begin() as connection:
            for role in roles:
                await connection.execute(text(f"DROP OWNED BY {own}{role} CASCADE"))
                await connection.execute(text(f"DROP ROLE {own}{role}"))


@asynccontextmanager
async def engine_as(url: str) -> AsyncIterator[AsyncEngine]:
    """Connect as the role of a URL, anew each time."""
    engine = create_async_engine(url, poolclass=NullPool)
    yield engine
    await engine.dispose()
