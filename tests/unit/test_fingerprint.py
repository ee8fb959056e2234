import hashlib
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from producers.commands import Atomic, CreatePost, CreateUser, DeleteUser, UpdateUser

ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$"

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50)


def test_it_is_the_same_for_ever() -> None:
    """It is kept in Redis and in the database, and compared by releases to come."""
    canonical = b'["user.create",1,{"age":36,"username":"ada"}]'
    assert CreateUser(username="ada", age=36).fingerprint() == hashlib.sha256(canonical).hexdigest()


@given(words, st.integers(0, 150))
def test_the_order_of_fields_does_not_matter(username: str, age: int) -> None:
    one = CreateUser.model_validate({"username": username, "age": age})
    other = CreateUser.model_validate({"age": age, "username": username})
    assert one.fingerprint() == other.fingerprint()


@given(words, words)
def test_other_values_make_another_one(one: str, other: str) -> None:
    same = CreateUser(name=one).fingerprint() == CreateUser(name=other).fingerprint()
    assert same == (one == other)


def test_the_kind_is_part_of_it() -> None:
    key = uuid4()
    assert DeleteUser(id=key).fingerprint() != UpdateUser(id=key, age=1).fingerprint()


def test_null_is_not_unset() -> None:
    assert UpdateUser(username="ada", age=None, name="Ada").fingerprint() != (
        UpdateUser(username="ada", name="Ada").fingerprint()
    )


def test_an_id_that_the_producer_made_up_is_not_part_of_it() -> None:
    assert CreateUser(name="Ada").fingerprint() == CreateUser(name="Ada").fingerprint()


def test_an_id_that_was_given_is() -> None:
    assert CreateUser(name="Ada", id=UUID(int=1)).fingerprint() != CreateUser(name="Ada").fingerprint()


def test_it_leaves_out_the_password() -> None:
    one, other = (
        CreateUser(name="Ada", hashed_password=ARGON2 + "one"),
        CreateUser(name="Ada", hashed_password=ARGON2 + "other"),
    )
    assert one.fingerprint() == other.fingerprint()
    assert Atomic([one]).fingerprint() == Atomic([other]).fingerprint()


def test_the_password_still_travels() -> None:
    assert CreateUser(name="Ada", hashed_password=ARGON2 + "x").to_wire()["hashed_password"] == ARGON2 + "x"


def test_an_atomic_is_its_commands_in_their_order() -> None:
    user, post = CreateUser(name="Ada"), CreatePost(title="On engines", user_id=UUID(int=1))
    assert Atomic([user, post]).fingerprint() == Atomic([user, post]).fingerprint()
    assert Atomic([user, post]).fingerprint() != Atomic([post, user]).fingerprint()
