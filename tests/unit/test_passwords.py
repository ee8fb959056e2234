from argon2 import PasswordHasher

from producers import hash_password
from producers.commands import CreateUser


async def test_a_hash_is_what_a_user_takes() -> None:
    hashed = await hash_password("correct horse battery staple")
    assert CreateUser(name="Ada", hashed_password=hashed).hashed_password == hashed
    assert PasswordHasher().verify(hashed, "correct horse battery staple")


async def test_no_two_hashes_are_alike() -> None:
    assert await hash_password("same") != await hash_password("same")
