"""The shop's own tests: a command through the real executor, without Redis."""

from uuid import uuid4

import pytest
from shop.commands import CreateOrder, CreateUser, GetOrder, NewLine
from shop.jobs import app

from producers import CommandRejected
from worker.testing import execute


async def test_the_database_chooses_the_id() -> None:
    user = await execute(app, CreateUser(login=uuid4().hex))
    order = await execute(app, CreateOrder(login=user.login, lines=(NewLine(article="tea", cents=300),)))
    assert order.user_id == user.id
    assert await execute(app, GetOrder(id=order.id)) == order


async def test_an_order_needs_a_customer() -> None:
    with pytest.raises(CommandRejected) as refused:
        await execute(app, CreateOrder(login="nobody", lines=()))
    assert (refused.value.code, refused.value.field) == ("no_such_user", "login")


async def test_a_login_is_taken_once() -> None:
    user = await execute(app, CreateUser(login=uuid4().hex))
    with pytest.raises(CommandRejected) as refused:
        await execute(app, CreateUser(login=user.login))
    assert (refused.value.code, refused.value.field) == ("unique_violation", "login")
