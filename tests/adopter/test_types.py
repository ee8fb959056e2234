"""The type checker, strict and without plugins, on an adopter's package."""

import pytest

from tests.console import Console

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_it_knows_what_comes_back_and_names_what_is_missing(console: Console) -> None:
    shop = console.folder / "shop"
    assert "Success" in await console.run("mypy")

    # A command that nobody carries out.
    commands = shop / "commands.py"
    drop = 'class DropOrder(Command[bool]):\n    kind: ClassVar[str] = "order.drop"\n\n\n'
    commands.write_text(commands.read_text().replace("ShopCommand = ", f"{drop}ShopCommand = DropOrder | "))
    printed = await console.run("mypy", code=1)
    assert "shop/worker/handlers.py:" in printed
    assert '"assert_never" has incompatible type "DropOrder"' in printed
    assert "Found 1 error in 1 file" in printed

    # Another result than the command's, a handler of another command, a field that is none.
    (shop / "mistakes.py").write_text(
        "from sqlalchemy.ext.asyncio import AsyncSession\n"
        "from producers import Producer, Receipt\n"
        "from .commands import CreateOrder, CreateUser, OrderView, UserView\n"
        "from .worker.handlers import create_order\n"
        "async def mistakes(producer: Producer, session: AsyncSession) -> None:\n"
        "    receipt: Receipt[OrderView] = await producer.send(CreateUser(login='ada'))\n"
        "    await create_order(session, CreateUser(login='ada'))\n"
        "    CreateUser(name='ada')\n"
        "    (await (await producer.send(CreateUser(login='ada'))).result()).id.upper()\n"
    )
    printed = await console.run("mypy", code=1)
    for line, told in {
        6: '"CreateUser"; expected "Command[OrderView]"',
        7: '"create_order" has incompatible type "CreateUser"; expected "CreateOrder"',
        8: 'Unexpected keyword argument "name" for "CreateUser"',
        9: '"int" has no attribute "upper"',
    }.items():
        assert any(
            found.startswith(f"shop/mistakes.py:{line}:") and told in found for found in printed.splitlines()
        ), printed
