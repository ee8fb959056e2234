"""An async script: `python examples/async_script.py`.

It sends many commands in one round trip, and waits for all of them at once.
"""

import asyncio

from producers import CommandError, Producer
from producers.commands import CreateUser

PEOPLE = {
    "ada": "ada@example.com",
    "alan": "alan@example.com",
    "alan.turing": "alan@example.com",  # as lists have it: one of the two is refused
    "barbara": "barbara@example.com",
}


async def main() -> None:
    """Create users; say of each what became of it."""
    async with Producer() as producer:  # one for the whole program: tasks may share it
        users = [CreateUser(username=name, email=email) for name, email in PEOPLE.items()]
        ids = [f"async-script/{name}" for name in PEOPLE]  # run it again, and nothing happens twice
        receipts = await producer.send_many(users, command_ids=ids)

        # With return_exceptions, one that is refused does not hide the results of the others.
        answers = await asyncio.gather(
            *(receipt.result(timeout=30) for receipt in receipts), return_exceptions=True
        )

    for name, answer in zip(PEOPLE, answers, strict=True):
        match answer:
            case CommandError():
                print(f"{name}: {answer.code} {answer.field}")
            case BaseException():
                raise answer
            case user:
                print(f"{name}: {user.id}")


if __name__ == "__main__":
    asyncio.run(main())
