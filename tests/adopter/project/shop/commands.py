"""What may be asked of the shop. The database chooses the ids."""

from typing import ClassVar

from pydantic import Field

from producers.commands import Command, Payload, Query, View


class UserView(View):
    """A customer."""

    id: int
    login: str


class LineView(View):
    """A line of an order; `order_id` and `position` are its key."""

    order_id: int
    position: int
    article: str
    cents: int


class OrderView(View):
    """An order with its lines."""

    id: int
    user_id: int
    lines: list[LineView]


class NewLine(Payload):
    """A line of a new order."""

    article: str
    cents: int = Field(gt=0)


class CreateUser(Command[UserView]):
    """Register a customer."""

    kind: ClassVar[str] = "user.create"

    login: str


class CreateOrder(Command[OrderView]):
    """Order."""

    kind: ClassVar[str] = "order.create"

    login: str
    lines: tuple[NewLine, ...]


class UpdateLine(Command[LineView | None]):
    """Change the price of a line."""

    kind: ClassVar[str] = "line.update"

    order_id: int
    position: int
    cents: int


class SplitLine(Command[list[LineView]]):
    """Share the price of a line out to so many lines."""

    kind: ClassVar[str] = "line.split"

    order_id: int
    position: int
    parts: int


class GetOrder(Query[OrderView | None]):
    """Read an order."""

    kind: ClassVar[str] = "order.get"

    id: int


ShopCommand = CreateUser | CreateOrder | UpdateLine | SplitLine | GetOrder
