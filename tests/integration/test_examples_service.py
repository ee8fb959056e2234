"""The FastAPI services: what they write and what they read."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import Producer
from producers.commands import CountUsers
from tests.integration.serving import PASSWORD, sign_up, working
from tests.processes import environment_of
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def environment(database_url: str, redis_url: str, queue_name: str) -> dict[str, str]:
    """Where the service finds its queue, and the worker its database."""
    return environment_of(database_url, redis_url, queue_name)


@pytest.fixture
async def client(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with a worker."""
    async with working(environment) as client:
        yield client


async def test_service_accepts_a_user_and_tells_what_became_of_it(client: httpx.AsyncClient) -> None:
    accepted = await client.post("/users", json={"username": "ada", "age": 36, "password": PASSWORD})
    assert accepted.status_code == 202
    assert accepted.headers["Location"] == client.base_url.join(f"/commands/{accepted.json()['command_id']}")

    outcome = await client.get(accepted.headers["Location"], params={"wait": 20})
    assert (outcome.status_code, outcome.json()["status"]) == (200, "applied")
    ada = outcome.json()["result"]
    assert (await client.get(f"/users/{ada['id']}")).json() == ada
    assert (ada["username"], ada["age"]) == ("ada", 36)
    assert "argon2" not in outcome.text


async def test_service_keeps_the_password_only_as_its_hash(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await sign_up(client, "ada")
    async with engine.connect() as connection:
        stored = (await connection.execute(text("SELECT hashed_password FROM users"))).scalar_one()
    assert stored.startswith("$argon2id$")


async def test_service_writes_once_for_one_idempotency_key(
    client: httpx.AsyncClient, redis_url: str, queue_name: str
) -> None:
    key = {"Idempotency-Key": "form-4711"}
    ada = {"username": "ada", "password": PASSWORD}
    first, again = [await client.post("/users", json=ada, headers=key) for _ in range(2)]
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()

    other = await client.post("/users", json=ada | {"username": "bob"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert other.json()["command_id"] == first.json()["command_id"]

    outcome = await client.get(first.headers["Location"], params={"wait": 20})
    assert outcome.json()["status"] == "applied"
    async with Producer(redis_url, queue=queue_name) as producer:
        assert await (await producer.send(CountUsers())).result(20) == 1


async def test_service_tells_why_an_accepted_user_was_refused(client: httpx.AsyncClient) -> None:
    await sign_up(client, "ada")
    accepted = await client.post("/users", json={"username": "ada", "password": PASSWORD})
    outcome = await client.get(accepted.headers["Location"], params={"wait": 20})
    assert (outcome.status_code, outcome.json()["status"]) == (200, "failed")
    error = outcome.json()["error"]
    assert (error["code"], error["field"]) == ("unique_violation", "username")


async def test_service_reads_a_post_with_its_author(client: httpx.AsyncClient) -> None:
    ada = await sign_up(client, "ada", name="Ada Lovelace")
    created = await client.post(f"/users/{ada}/posts", json={"title": "Notes"})
    assert (created.status_code, created.json()["author"]) == (201, None)

    post = await client.get(created.headers["Location"])
    assert post.json()["title"] == "Notes"
    assert post.json()["author"] == {"id": ada, "username": "ada", "name": "Ada Lovelace"}


async def test_service_lists_users_page_by_page(client: httpx.AsyncClient) -> None:
    names = ["ada", "bob", "cyd"]
    for name in names:
        await sign_up(client, name)
    whole = (await client.get("/users")).json()
    assert ([user["username"] for user in whole["items"]], whole["limit"]) == (names, 100)
    page = (await client.get("/users", params={"skip": 1, "limit": 1})).json()
    assert ([user["username"] for user in page["items"]], page["has_more"]) == (["bob"], True)


async def test_service_writes_only_what_was_set(client: httpx.AsyncClient) -> None:
    ada = await sign_up(client, "ada", email="ada@example.com", age=36)
    changed = await client.patch(f"/users/{ada}", json={"age": 37, "email": None})
    assert changed.status_code == 200
    user = (await client.get(f"/users/{ada}")).json()
    assert user == changed.json()
    assert (user["username"], user["age"], user["email"]) == ("ada", 37, None)


async def test_service_says_whether_there_was_a_user_to_delete(client: httpx.AsyncClient) -> None:
    ada = await sign_up(client, "ada")
    key = {"Idempotency-Key": "delete-ada"}
    assert [(await client.delete(f"/users/{ada}", headers=key)).status_code for _ in range(2)] == [204, 204]
    again = await client.delete(f"/users/{ada}")
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    assert (await client.get(f"/users/{ada}")).status_code == 404


async def test_shop_writes_an_order_and_its_command_or_neither(
    environment: dict[str, str], engine: AsyncEngine
) -> None:
    async def written() -> tuple[list[str], list[str]]:
        async with engine.connect() as connection:
            orders = (await connection.execute(text("SELECT number FROM orders ORDER BY number"))).scalars()
            users = (await connection.execute(text("SELECT username FROM users ORDER BY username"))).scalars()
            return list(orders), list(users)

    async def all_sent() -> bool:
        async with engine.connect() as connection:
            return not (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar_one()

    async with working(environment, "shop.py") as client:
        answers = [
            await client.post("/orders", json={"number": number, "customer": customer})
            for number, customer in (("1", "ada"), ("2", "grace"), ("1", "mallory"))
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 409]
        await until(all_sent)
    assert await written() == (["1", "2"], ["ada", "grace"])
