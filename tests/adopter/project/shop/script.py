"""A script of the shop's: the type checker knows what comes back."""

import asyncio
from typing import assert_type

from producers import Producer, Receipt

from .commands import CreateOrder, CreateUser, GetOrder, NewLine, OrderView, UserView


async def main() -> None:
    """Register a customer and take an order."""
    async with Producer() as producer:
        user = await (await producer.send(CreateUser(login="ada"))).result(timeout=10)
        assert_type(user, UserView)
        lines = (NewLine(article="tea", cents=300), NewLine(article="cup", cents=900))
        receipt = await producer.send(CreateOrder(login=user.login, lines=lines))
        assert_type(receipt, Receipt[OrderView])
        order = await receipt.result(timeout=10)
        found = await (await producer.send(GetOrder(id=order.id))).result(timeout=10)
        assert_type(found, OrderView | None)
        for sent in await producer.send_many([CreateUser(login="bob"), GetOrder(id=order.id)]):
            await sent.result(timeout=10)
        print(order == found, order.id, [line.cents for line in order.lines])  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
