"""How the shop's commands are carried out."""

from typing import assert_never

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from producers import CommandRejected

from ..commands import (
    CreateOrder,
    CreateUser,
    GetOrder,
    LineView,
    OrderView,
    ShopCommand,
    SplitLine,
    UpdateLine,
    UserView,
)
from ..models import Line, Order, User


async def handle(session: AsyncSession, command: ShopCommand) -> object:
    """Carry a command out; the type checker says which one is missing."""
    match command:
        case CreateUser():
            return await create_user(session, command)
        case CreateOrder():
            return await create_order(session, command)
        case UpdateLine():
            return await update_line(session, command)
        case SplitLine():
            return await split_line(session, command)
        case GetOrder():
            return await get_order(session, command)
        case _:
            assert_never(command)


async def create_user(session: AsyncSession, command: CreateUser) -> UserView:
    """Insert a customer."""
    user = User(login=command.login)
    session.add(user)
    await session.flush()
    return UserView.model_validate(user)


async def create_order(session: AsyncSession, command: CreateOrder) -> OrderView:
    """Insert an order and its lines."""
    user = await session.scalar(select(User).where(User.login == command.login))
    if user is None:
        raise CommandRejected("nobody has this login", code="no_such_user", field="login")
    lines = [
        Line(position=position, article=line.article, cents=line.cents)
        for position, line in enumerate(command.lines, start=1)
    ]
    order = Order(user_id=user.id, lines=lines)
    session.add(order)
    await session.flush()
    return OrderView.model_validate(order)


async def update_line(session: AsyncSession, command: UpdateLine) -> LineView | None:
    """Change a line."""
    line = await session.get(Line, (command.order_id, command.position), with_for_update=True)
    if line is None:
        return None
    line.cents = command.cents
    return LineView.model_validate(line)


async def split_line(session: AsyncSession, command: SplitLine) -> list[LineView]:
    """Share the price out; with 0 parts this is a bug."""
    line = await session.get_one(Line, (command.order_id, command.position), with_for_update=True)
    share, rest = divmod(line.cents, command.parts)
    last = await session.scalar(select(func.max(Line.position)).where(Line.order_id == line.order_id))
    line.cents = share + rest
    parts = [
        Line(order_id=line.order_id, position=(last or 0) + part, article=line.article, cents=share)
        for part in range(1, command.parts)
    ]
    session.add_all(parts)
    await session.flush()
    return [LineView.model_validate(part) for part in (line, *parts)]


async def get_order(session: AsyncSession, command: GetOrder) -> OrderView | None:
    """Read an order."""
    order = await session.get(Order, command.id, options=[selectinload(Order.lines)])
    return None if order is None else OrderView.model_validate(order)
