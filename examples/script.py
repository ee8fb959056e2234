"""A plain script: `python examples/script.py`.

Each write has an id of its own, so run the script again and nothing happens twice.
"""

from producers import BlockingProducer, CommandRejected
from producers.commands import CreateUser, GetUser, NewPost, UpdateUser


def main() -> None:
    """Create a user with a post, change her, read her, and be refused."""
    with BlockingProducer() as producer:  # $REDIS_URL, or redis://localhost:6379/0
        grace = CreateUser(username="grace", name="Grace Hopper", posts=[NewPost(title="On compilers")])
        receipt = producer.send(grace, command_id="script/grace")
        print(receipt.status, receipt.command_id)  # the second time: duplicate, and the same id

        # The result is the one that the command had when it ran: the first time.
        print(receipt.result(timeout=10).name)

        # Only what is set is written; None is written as null.
        older = UpdateUser(username="grace", age=85, email=None)
        producer.send(older, command_id="script/grace-is-older").result(timeout=10)

        # A read changes nothing, so it needs no id.
        found = producer.send(GetUser(username="grace", include=["posts"])).result(timeout=10)
        if found is not None:
            print(found.name, found.age, [post.title for post in found.posts or ()])

        try:
            producer.send(CreateUser(username="grace")).result(timeout=10)
        except CommandRejected as error:
            print(error.code, error.field)  # unique_violation username


if __name__ == "__main__":
    main()
