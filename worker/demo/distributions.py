"""Part two of the demo: the metadata of the Python distributions installed here, which nobody wrote for it.

Authors and maintainers become users, distributions posts, and a dependency a like: of the one who depends,
for what is depended on. Who depends on a distribution of their own sends that like too, and has it rejected.

Run it by itself, with REDIS_URL set and a worker at work: `python -m worker.demo.distributions`. Its rows
stay, and an address can be taken once, so a second run is rejected.
"""

# ruff: noqa: S101  # what a step promises, it asserts

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

from producers import Command, CommandRejected, Producer
from producers.commands import (
    CountLikes,
    CountPosts,
    CountUsers,
    CreateLike,
    CreatePost,
    CreateUsers,
    GetPost,
)

from .installed import Installed, installed, normalized
from .people import People, refusal
from .steps import Part, Tell

TITLE = "Part two: real data, the Python distributions installed here"

_ROWS = 500  # of one bulk command
_LONGEST = 50_000  # characters of a text, so that its command stays below QUEUE_PAYLOAD_LIMIT


def tell_distributions(part: Part) -> None:
    """Carry it all over, and compare."""
    asyncio.run(_tell(part))


async def _tell(part: Part) -> None:
    async with Producer() as producer:
        before = await counts(producer)
        source = read(part)
        people = await send_people(part, producer, source)
        posts = await send_posts(part, producer, source, people)
        likes = await send_likes(part, producer, source, posts)

        with part.step("Counts compared with the source", sent="user.count, post.count, like.count") as tell:
            added = [now - then for now, then in zip(await counts(producer), before, strict=True)]
            assert added == [len(people.users), len(posts), likes]
            tell(f"{added[0]} users, {added[1]} posts, {added[2]} likes: as many as the metadata says")

        with part.step("The longest text, read back", sent="post.get, its likes included") as tell:
            longest = max(posts.values(), key=lambda post: len(post.content))
            post = await (await producer.send(GetPost(id=longest.id, include=["likes"]))).result(timeout=30)
            assert post is not None
            assert (post.title, post.content) == (longest.title, longest.content)
            tell(f"{len(post.content):,} characters, as they were sent; likes: {len(post.likes or ())}")


def read(part: Part) -> list[Installed]:
    """Read the metadata, and hold each address field against what an address has to be."""
    with part.step("What is installed") as tell:
        source = installed()
        assert source
        people, needs = (sum(len(getattr(found, of)) for found in source) for of in ("people", "needs"))
        tell(f"{len(source)} distributions, which name people {people} times and dependencies {needs} times")

    with part.step("Messy addresses, as they are written") as tell:
        fields = [field for found in source for field in found.fields]
        reasons = Counter(reason for field in fields if (reason := refusal(field)))
        tell(f"of {len(fields)} fields {reasons.total()} are rejected before anything is sent:")
        tell_each(tell, reasons)
    return source


async def send_people(part: Part, producer: Producer, source: list[Installed]) -> People:
    """Send each person once, many in one transaction."""
    people = People(mention for found in source for mention in found.people)
    rows = people.users
    bulks = [CreateUsers(rows=rows[at : at + _ROWS]) for at in range(0, len(rows), _ROWS)]
    sent = f"{len(bulks)} user.create_many with {len(rows)} rows"
    with part.step("Authors and maintainers become users", sent=sent) as tell:
        assert await settle(producer, bulks) == {"applied": len(bulks)}
        addressed = sum(user.email is not None for user in rows)
        tell(f"{len(rows)} people: the same address, or else the same name, is the same person")
        tell(f"{addressed} with an address, {len(rows) - addressed} with a name alone")
        tell(f"addresses rejected once fields with several were split: {people.refused.total()}")
        tell_each(tell, people.refused)
    return people


async def send_posts(
    part: Part, producer: Producer, source: list[Installed], people: People
) -> dict[str, CreatePost]:
    """Send each distribution as a post of the first person it names."""
    posts = {}
    for found in source:
        author = next((user for mention in found.people if (user := people.find(mention))), None)
        if author is not None:
            title, content = f"{found.name}: {found.summary}"[:200], found.description[:_LONGEST]
            posts[normalized(found.name)] = CreatePost(title=title, content=content, user_id=author.id)
    with part.step("Distributions become posts", sent=f"{len(posts)} post.create at once") as tell:
        assert await settle(producer, posts.values()) == {"applied": len(posts)}
        cut = sum(len(found.description) > _LONGEST for found in source)
        tell(f"{len(posts)} posts, a transaction each; texts cut to {_LONGEST:,} characters: {cut}")
        tell(f"not posted, since they name nobody: {len(source) - len(posts)}")
    return posts


async def send_likes(
    part: Part, producer: Producer, source: list[Installed], posts: dict[str, CreatePost]
) -> int:
    """Send each dependency as a like; return how many there are to be."""
    needs = [(normalized(found.name), need) for found in source for need in found.needs]
    here = [(posts[name], posts[need]) for name, need in needs if name in posts and need in posts]
    authors = {(dependent.user_id, post.id): post.user_id for dependent, post in here}
    own = sum(author == user_id for (user_id, _), author in authors.items())
    likes = [CreateLike(user_id=user_id, post_id=post_id) for user_id, post_id in authors]
    with part.step("Dependencies become likes", sent=f"{len(likes)} like.create at once") as tell:
        outcomes = await settle(producer, likes)
        assert outcomes == {"applied": len(likes) - own, "own_post": own}
        tell(f"{len(here)} of {len(needs)} dependencies are installed: {len(likes)} pairs of user and post")
        tell(f"{outcomes['applied']} applied; {own} rejected by the worker: nobody likes a post of their own")
    return outcomes["applied"]


async def settle(producer: Producer, commands: Iterable[Command[Any]]) -> Counter[str]:
    """Send commands at once, wait for all, and count how they ended."""
    outcomes: Counter[str] = Counter()
    for receipt in await producer.send_many(commands):
        try:
            await receipt.result(timeout=60)
        except CommandRejected as error:
            outcomes[error.code] += 1
        else:
            outcomes["applied"] += 1
    return outcomes


async def counts(producer: Producer) -> list[int]:
    """Count users, posts and likes."""
    receipts = await producer.send_many([CountUsers(), CountPosts(), CountLikes()])
    return [await receipt.result(timeout=30) for receipt in receipts]


def tell_each(tell: Tell, reasons: Counter[str]) -> None:
    """Tell reasons, the most frequent first."""
    for reason, count in reasons.most_common():
        tell(f"  {count} x {reason}")


if __name__ == "__main__":
    sys.exit(Part(TITLE).play(tell_distributions))
