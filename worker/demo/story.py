"""Part one of the demo: the story of a few people and what they write, told by a producer.

Run it by itself, with REDIS_URL set and a worker at work: `python -m worker.demo.story`. It takes away
what it made. One step is an operator's: it needs DATABASE_URL, and a worker with WORKER_UNREADABLE_TIMEOUT=1.
"""

# ruff: noqa: S101  # what a step promises, it asserts

import sys
from typing import Any
from uuid import uuid4

from producers import Atomic, BlockingProducer, Command
from producers.commands import (
    CreateLikes,
    CreateProfiles,
    CreateUser,
    CreateUsers,
    DeletePost,
    DeleteUser,
    GetLike,
    GetPost,
    GetProfile,
    GetUser,
    LikeKey,
    ListUsers,
    NewPost,
    NewProfileOf,
    NewUser,
    UpdateUser,
)

from .mishaps import survive
from .steps import Part

TITLE = "Part one: a story, told by a producer"

# Who sends a row chooses its id, and so can speak of it before any worker has seen it.
ADA, ALAN, BARBARA, EDSGER, GRACE = (uuid4() for _ in range(5))
COMPILERS, MACHINERY, NOTES = (uuid4() for _ in range(3))
READERS = [uuid4() for _ in range(100)]


def tell_story(part: Part) -> None:
    """Tell it from the first user to the last."""
    with BlockingProducer() as producer:
        write(part, producer)
        read_and_change(part, producer)
        survive(part, producer, ADA)
        end(part, producer)


def write(part: Part, producer: BlockingProducer) -> None:
    """Make users, posts, profiles and likes."""
    with part.step("One user", sent="user.create") as tell:
        ada = producer.send(CreateUser(id=ADA, username="ada", name="Ada Lovelace")).result(30)
        assert (ada.id, ada.version) == (ADA, 1)
        tell(f"{ada.name} is there since {ada.created_at:%H:%M:%S} UTC, at version 1")

    with part.step("Many users", sent="user.create_many with 2 rows; 100 user.create at once") as tell:
        rows = [NewUser(id=BARBARA, username="barbara"), NewUser(id=EDSGER, username="edsger")]
        users = producer.send(CreateUsers(rows=rows)).result(30)
        crowd = (CreateUser(id=key, username=f"reader-{n}") for n, key in enumerate(READERS))
        users += [receipt.result(30) for receipt in producer.send_many(crowd)]
        assert [user.id for user in users if user] == [BARBARA, EDSGER, *READERS]
        tell("102 users: two by one transaction, a hundred by one each")

    with part.step("Posts through the relation", sent="2 user.create, with posts in them") as tell:
        posts = [NewPost(id=COMPILERS, title="Compilers"), NewPost(id=NOTES, title="Notes")]
        grace = producer.send(CreateUser(id=GRACE, username="grace", posts=posts)).result(30)
        posts = [NewPost(id=MACHINERY, title="Computing Machinery", content="Can machines think?")]
        alan = producer.send(CreateUser(id=ALAN, username="alan", posts=posts)).result(30)
        assert {post.id for post in grace.posts or ()} == {COMPILERS, NOTES}
        assert {post.id for post in alan.posts or ()} == {MACHINERY}
        tell("grace with 2 posts, alan with 1: author and posts in one transaction")

    with part.step("A profile each", sent="profile.create_many with 3 rows") as tell:
        bios = {ADA: "the first program", ALAN: "a test for machines", GRACE: "the first compiler"}
        new = [NewProfileOf(user_id=user_id, bio=bio) for user_id, bio in bios.items()]
        profiles = producer.send(CreateProfiles(rows=new)).result(30)
        assert {profile.user_id: profile.bio for profile in profiles if profile} == bios
        tell("3 profiles")

    with part.step("Likes of each other's posts", sent="like.create_many with 4 rows") as tell:
        pairs = [(ADA, MACHINERY), (GRACE, MACHINERY), (ALAN, COMPILERS), (ALAN, NOTES)]
        keys = [LikeKey(user_id=user_id, post_id=post_id) for user_id, post_id in pairs]
        likes = producer.send(CreateLikes(rows=keys)).result(30)
        assert [(like.user_id, like.post_id) for like in likes if like] == pairs
        tell("4 likes")


def read_and_change(part: Part, producer: BlockingProducer) -> None:
    """Read with relations and by the page; update; delete."""
    with part.step("Get with posts", sent="user.get, with posts and profile included") as tell:
        grace = producer.send(GetUser(username="grace", include=["posts", "profile"])).result(30)
        assert grace is not None
        assert grace.profile is not None
        titles = sorted(post.title for post in grace.posts or ())
        assert titles == ["Compilers", "Notes"]
        tell(f"grace, known for {grace.profile.bio}, wrote {' and '.join(titles)}")

    with part.step("List with order and page", sent="2 user.list: the newest first, 5 to a page") as tell:
        order = ["-created_at", "username"]
        first = producer.send(ListUsers(order_by=order, limit=5)).result(30)
        second = producer.send(ListUsers(order_by=order, limit=5, offset=5)).result(30)
        ages = [user.created_at for user in (*first.items, *second.items)]
        assert ages == sorted(ages, reverse=True)
        assert len({user.id for user in (*first.items, *second.items)}) == len(ages) == first.limit * 2
        assert first.has_more
        tell(f"{', '.join(str(user.username) for user in first.items)}; the next 5; more follow")

    with part.step("Update", sent="user.update with a name") as tell:
        changed = producer.send(UpdateUser(username="grace", name="Grace Hopper")).result(30)
        assert changed is not None
        assert (changed.id, changed.username, changed.name) == (GRACE, "grace", "Grace Hopper")
        assert changed.version == grace.version + 1
        tell(f"she is {changed.name} now, at version {changed.version}; what was not set stays")

    with part.step("Delete one post, see what is left", sent="post.delete, user.get, like.get") as tell:
        assert producer.send(DeletePost(id=NOTES)).result(30) is True
        left = producer.send(GetUser(id=GRACE, include="posts")).result(30)
        assert left is not None
        assert [post.id for post in left.posts or ()] == [COMPILERS]
        assert producer.send(GetLike(user_id=ALAN, post_id=NOTES)).result(30) is None
        tell("one of her two posts is left; the like of the other went with it")


def end(part: Part, producer: BlockingProducer) -> None:
    """Delete a user and watch the cascade; then delete all others."""
    with part.step("Delete a user, watch the cascade", sent="user.delete, then 5 reads") as tell:
        assert producer.send(DeleteUser(username="alan")).result(30) is True
        reads: list[Command[Any]] = [
            GetUser(id=ALAN),
            GetProfile(user_id=ALAN),
            GetPost(id=MACHINERY),
            GetLike(user_id=ALAN, post_id=COMPILERS),
            GetLike(user_id=ADA, post_id=MACHINERY),
        ]
        assert [receipt.result(30) for receipt in producer.send_many(reads)] == [None] * len(reads)
        tell("gone with alan: his profile, his post, the likes he gave and the likes he got")

    with part.step("Leave nothing behind", sent="atomic of 104 user.delete") as tell:
        everyone = [ADA, BARBARA, EDSGER, GRACE, *READERS]
        deleted = producer.send(Atomic([DeleteUser(id=user_id) for user_id in everyone])).result(30)
        assert deleted == [True] * len(everyone)
        tell(f"{len(everyone)} users, in one transaction")


if __name__ == "__main__":
    sys.exit(Part(TITLE).play(tell_story))
