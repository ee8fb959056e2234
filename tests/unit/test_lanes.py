"""Which lanes a command stands in, and which rows it refers to."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

import pytest

from producers import Atomic, Command, Producer
from producers.commands import (
    CreateLike,
    CreatePost,
    CreateProfile,
    CreateUser,
    CreateUsers,
    DeleteLike,
    DeleteUser,
    DeleteUsersWhere,
    F,
    GetPost,
    GetUser,
    ImportUsers,
    KeptPost,
    Key,
    ListUsers,
    NewPost,
    NewProfile,
    NewUser,
    SetUserPosts,
    UpdatePost,
    UpdateProfile,
    UpdateUser,
    UpsertUser,
    UpsertUsers,
)
from producers.commands.lanes import lane, standing

A, B, C = (UUID(int=n) for n in (10, 11, 12))


def users(*ids: UUID) -> set[str]:
    return {f"user:{id_}" for id_ in ids}


def posts(*ids: UUID) -> set[str]:
    return {f"post:{id_}" for id_ in ids}


class Ship(Command[None]):
    """An adopter's, whose key has two parts."""

    kind: ClassVar[str] = "parcel.ship"

    depot: Annotated[str, Key()]
    number: Annotated[int | None, Key()] = None


@pytest.mark.parametrize(
    ("command", "lanes", "refs"),
    [
        (CreateUser(id=A, username="a"), users(A), set()),
        (UpdateUser(id=A, name="a"), users(A), set()),
        (UpdateUser(username="ada", name="a"), set(), set()),
        (UpdateUser(id=A, username="ada", by="username", name="a"), set(), set()),
        (DeleteUser(id=A), users(A), set()),
        (DeleteUser(email="a@example.com"), set(), set()),
        (GetUser(id=A), users(A), set()),
        (GetUser(id=A, stale_ok=True), set(), set()),
        (ListUsers(), set(), set()),
        (DeleteUsersWhere(where=F.age > 3), set(), set()),
        (UpsertUser(id=A, username="a", by="id"), users(A), set()),
        (UpsertUser(id=A, username="a", by="username"), set(), set()),
        (CreatePost(id=A, title="t", user_id=B), posts(A), users(B)),
        (UpdatePost(id=A, title="t"), posts(A), set()),
        (GetPost(id=A), posts(A), set()),
        (CreateProfile(id=A, user_id=B), {f"profile:{A}"}, users(B)),
        (UpdateProfile(user_id=B, bio="b"), set(), set()),
        (UpdateProfile(id=A, user_id=B), {f"profile:{A}"}, users(B)),
        (CreateLike(user_id=A, post_id=B), {f"like:{A}:{B}"}, users(A) | posts(B)),
        (DeleteLike(user_id=A, post_id=B), {f"like:{A}:{B}"}, users(A) | posts(B)),
        (
            CreateUser(id=A, username="a", posts=[NewPost(id=B, title="t")], profile=NewProfile(id=C)),
            users(A) | posts(B) | {f"profile:{C}"},
            set(),
        ),
        (SetUserPosts(id=A, posts=[KeptPost(id=B)]), users(A) | posts(B), set()),
        (CreateUsers(rows=[NewUser(id=A, name="a"), NewUser(id=B, name="b")]), users(A, B), set()),
        (UpsertUsers(rows=[NewUser(id=A, username="a")], by="username"), set(), set()),
        (UpsertUsers(rows=[NewUser(id=A, username="a")], by="id"), users(A), set()),
        (ImportUsers(rows=[NewUser(id=A, username="a")]), users(A), set()),
        (ImportUsers(rows=[NewUser(id=A, username="a")], by="email"), set(), set()),
        (
            Atomic(
                [CreateUser(id=A, username="a"), CreatePost(id=B, title="t", user_id=A), DeleteUser(id=A)]
            ),
            users(A) | posts(B),
            users(A),
        ),
        (Ship(depot="x", number=7), {"parcel:x:7"}, set()),
        (Ship(depot="x"), set(), set()),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_command_stands_in_the_lane_of_each_row_that_it_names_by_its_key(
    command: Command[Any], lanes: set[str], refs: set[str]
) -> None:
    stands = standing(command.identified(None))
    assert (set(stands.lanes), set(stands.refs)) == (lanes, refs)
    assert len(stands.lanes) == len(lanes)  # each once


def test_an_ordering_key_is_a_lane_of_no_entity() -> None:
    assert standing(ListUsers(), "x").lanes == (":x",)
    assert lane("user", A) == f"user:{A}"
    assert lane("like", (A, 1, "x")) == f"like:{A}:1:x"


async def test_commands_that_need_no_order_stand_nowhere(producer: Producer) -> None:
    user = CreateUser(username="a")
    await producer.send_many([user, UpdateUser(id=user.id, name="a")], ordered=False)
    assert not [key async for key in producer.redis.scan_iter("crud:test:lane:*")]
    assert await producer.redis.zcount(producer.keys.queue, 0, 1e14) == 2


async def test_a_send_that_is_repeated_stands_once(producer: Producer) -> None:
    for _ in range(2):
        await producer.send(CreateUser(id=A, username="a"), command_id="one")
    lane: Any = producer.redis.llen(producer.keys.lane(f"user:{A}"))
    assert await lane == 1
