"""A web service with a database of its own: `uvicorn examples.shop:app`, and then http://127.0.0.1:8000/docs.

An order and the command that follows from it are written in one transaction: both are there, or neither. The
service needs the database (DATABASE_URL, migrated by `python -m worker migrate`) and no Redis: a worker finds
the command in the outbox. `pip install '.[examples,outbox]'`.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Request, status
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from producers.commands import CreateUser
from producers.commands.user import Username
from producers.outbox import send


class Base(DeclarativeBase):
    """The tables of the shop."""


class Order(Base):
    """An order; its number is the customer's, and there is one of it."""

    __tablename__ = "orders"

    number: Mapped[str] = mapped_column(String(40), primary_key=True)
    customer: Mapped[str] = mapped_column(String(50))


class NewOrder(BaseModel):
    """What a customer sends."""

    number: str
    customer: Username


class Accepted(BaseModel):
    """The order is there, and the user is on its way."""

    number: str
    command_id: UUID


class State(TypedDict):
    """What lives as long as the service."""

    sessions: async_sessionmaker[AsyncSession]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    """Make the table of orders, where there is none."""
    engine = create_async_engine(os.environ["DATABASE_URL"])
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield {"sessions": async_sessionmaker(engine)}
    await engine.dispose()


app = FastAPI(title="A shop", lifespan=lifespan)


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Open a session, and a transaction that ends with the request's work."""
    async with request.state.sessions.begin() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


@app.post("/orders", status_code=status.HTTP_202_ACCEPTED)
async def order(new: NewOrder, session: SessionDep) -> Accepted:
    """Take an order, and have its customer made a user."""
    written = await send(session, CreateUser(username=new.customer))
    session.add(Order(number=new.number, customer=new.customer))
    try:
        await session.flush()
    except IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, "there is such an order") from None
    return Accepted(number=new.number, command_id=written.command_id)
