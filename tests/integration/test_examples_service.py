"""The FastAPI service, over HTTP: uvicorn and a worker as processes of their own."""

import asyncio
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import Producer
from producers.commands import CountUsers
from tests.processes import ROOT, Process, environment_of
from worker.demo.servers import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

[LINE] = re.findall(
    r"`(uvicorn [^`]+)`", Path(ROOT / "examples" / "service.py").read_text().partition("\n")[0]
)
PASSWORD = "correct horse"
NOBODY = UUID(int=1)
BROKEN = """
    CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'broken by the test' USING ERRCODE = 'XX000'; END $$
"""


@pytest.fixture
def environment(database_url: str, redis_url: str, queue_name: str) -> dict[str, str]:
    """Where the service finds its queue, and the worker its database."""
    return environment_of(database_url, redis_url, queue_name)


@asynccontextmanager
async def serving(environment: dict[str, str], **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    """Start the service as it says itself; end it as a supervisor would."""
    program = (sys.executable, "-m", *shlex.split(LINE))
    with Process("--port", "0", environment=environment | settings, program=program) as service:
        await service.says("Uvicorn running on ")
        [url] = re.findall(r"Uvicorn running on (http://\S+)", service.output)
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            yield client
        service.send(signal.SIGTERM)
        await service.end()
        assert "Application shutdown complete" in service.output


@asynccontextmanager
async def working(environment: dict[str, str], **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    """The service, and a worker behind it."""
    with Process("run", environment=environment | settings) as worker:
        async with serving(environment) as client:
            await worker.says("worker.started")
            yield client


@pytest.fixture
async def client(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with a worker."""
    async with working(environment) as client:
        yield client


async def sign_up(client: httpx.AsyncClient, username: str, **fields: str | int) -> str:
    """Create a user, wait until it is there, and return its id."""
    accepted = await client.post("/users", json={"username": username, "password": PASSWORD, **fields})
    outcome = await client.get(accepted.headers["Location"], params={"wait": 20})
    assert outcome.json()["status"] == "applied", outcome.text
    return str(outcome.json()["result"]["id"])


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


async def test_service_answers_each_mistake_with_its_status(client: httpx.AsyncClient) -> None:
    ada, bob = [await sign_up(client, name) for name in ("ada", "bob")]
    calls: list[tuple[str, str, object, int, str | None]] = [
        ("PATCH", f"/users/{NOBODY}", {"age": 1}, 404, "not_found"),
        ("PATCH", f"/users/{bob}", {"username": "ada"}, 409, "unique_violation"),
        ("PATCH", f"/users/{ada}", {"username": None}, 422, "check_violation"),
        ("POST", f"/users/{NOBODY}/posts", {"title": "x"}, 422, "foreign_key_violation"),
        ("GET", f"/commands/{uuid4()}", None, 404, "result_expired"),
        ("GET", f"/users?skip={10**30}", None, 422, "data_exception"),
        ("GET", f"/users/{NOBODY}", None, 404, "not_found"),
        ("GET", f"/posts/{NOBODY}", None, 404, "not_found"),
        ("PATCH", f"/users/{ada}", {}, 422, "empty"),
        # What no command is made of does not reach the queue.
        ("PATCH", f"/users/{ada}", {"is_admin": True}, 422, None),
        ("PATCH", f"/users/{ada}", {"name": "a\0b"}, 422, None),
        ("POST", "/users", {"username": "eve", "password": "short"}, 422, None),
        ("POST", "/users", {"username": "eve", "email": "nowhere", "password": PASSWORD}, 422, None),
        ("GET", "/users?limit=1001", None, 422, None),
    ]
    for method, path, body, status, code in calls:
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
        assert answer.json()["detail"]


async def test_service_says_503_where_the_worker_gave_up(
    environment: dict[str, str], engine: AsyncEngine
) -> None:
    async with working(environment, WORKER_MAX_ATTEMPTS="1") as client:
        ada = await sign_up(client, "ada")
        async with engine.begin() as connection:
            await connection.execute(text(BROKEN))
            await connection.execute(
                text("CREATE TRIGGER broken BEFORE INSERT ON posts EXECUTE FUNCTION broken()")
            )
        answer = await client.post(f"/users/{ada}/posts", json={"title": "x"})
        assert (answer.status_code, answer.json()["code"]) == (503, "internal_error")
        assert answer.headers["Retry-After"] == "5"
        outcome = await client.get(f"/commands/{answer.json()['command_id']}")
        assert (outcome.json()["status"], outcome.json()["error"]["code"]) == ("failed", "internal_error")


async def test_service_says_what_the_queue_does_not_take(environment: dict[str, str]) -> None:
    async with serving(environment, QUEUE_MAX="1", QUEUE_PAYLOAD_LIMIT="1024") as client:
        large = await client.post(f"/users/{NOBODY}/posts", json={"title": "x", "content": "x" * 2000})
        assert (large.status_code, large.json()["code"]) == (413, "payload_too_large")

        users = [{"username": name, "password": PASSWORD} for name in ("ada", "bob")]
        first, second = [await client.post("/users", json=user) for user in users]
        assert first.status_code == 202
        assert (second.status_code, second.json()["code"]) == (503, "queue_full")
        assert second.headers["Retry-After"] == "5"


async def test_service_says_503_while_redis_is_away(
    environment: dict[str, str], own_redis_url: str, own_redis: RedisServer
) -> None:
    async with serving(environment, REDIS_URL=own_redis_url) as client:
        ada = {"username": "ada", "password": PASSWORD}
        assert (await client.post("/users", json=ada)).status_code == 202
        own_redis.stop()
        for method, path in (("POST", "/users"), ("GET", f"/users/{NOBODY}"), ("GET", f"/commands/{NOBODY}")):
            answer = await client.request(method, path, json=ada)
            assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
            assert answer.headers["Retry-After"] == "5"
        own_redis.start()
        assert (await client.post("/users", json=ada)).status_code == 202


async def test_service_does_not_wait_for_ever(environment: dict[str, str]) -> None:
    """Without a worker, a write is accepted all the same; a read has nothing to answer."""
    async with serving(environment) as client:
        write, read = await asyncio.gather(
            client.post(f"/users/{NOBODY}/posts", json={"title": "x"}), client.get("/users")
        )
        assert write.status_code == 202
        outcome = await client.get(write.headers["Location"])
        assert (outcome.status_code, outcome.json()["status"]) == (200, "pending")
        assert outcome.url.path == f"/commands/{write.json()['command_id']}"
        assert (read.status_code, read.json()["code"]) == (504, "timeout")
