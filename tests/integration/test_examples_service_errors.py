"""The FastAPI service: each of our errors as a status, each from the real thing."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.serving import PASSWORD, serving, sign_up, working
from tests.processes import environment_of
from worker.demo.servers import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SHORT = "hunter2"
JSON = {"Content-Type": "application/json"}
NOBODY = UUID(int=1)
BROKEN = """
    CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'broken by the test' USING ERRCODE = 'XX000'; END $$
"""


@pytest.fixture
def environment(database_url: str, redis_url: str, queue_name: str) -> dict[str, str]:
    """Where the service finds its queue, and the worker its database."""
    return environment_of(database_url, redis_url, queue_name)


async def test_service_answers_each_mistake_with_its_status(environment: dict[str, str]) -> None:
    async with working(environment) as client:
        ada, bob = [await sign_up(client, name) for name in ("ada", "bob")]
        calls: list[tuple[str, str, object, int, str | None]] = [
            ("PATCH", f"/users/{NOBODY}", {"age": 1}, 404, "not_found"),
            ("PATCH", f"/users/{bob}", {"username": "ada"}, 409, "unique_violation"),
            ("PATCH", f"/users/{ada}", {"username": None}, 422, "check_violation"),
            ("POST", f"/users/{NOBODY}/posts", {"title": "x"}, 422, "foreign_key_violation"),
            ("GET", f"/commands/{uuid4()}", None, 404, "result_expired"),
            ("GET", f"/users?skip={10**30}", None, 422, None),
            ("GET", f"/users/{NOBODY}", None, 404, "not_found"),
            ("GET", f"/posts/{NOBODY}", None, 404, "not_found"),
            ("PATCH", f"/users/{ada}", {}, 422, "empty"),
            # What no command is made of does not reach the queue.
            ("PATCH", f"/users/{ada}", {"is_admin": True}, 422, None),
            ("PATCH", f"/users/{ada}", {"name": "a\0b"}, 422, None),
            ("POST", "/users", {"username": "\ud800", "password": PASSWORD}, 422, None),
            ("POST", "/users", {"username": "eve", "password": SHORT}, 422, None),
            ("POST", "/users", {"password": PASSWORD}, 422, None),
            ("POST", "/users", {"username": "eve", "email": "nowhere", "password": PASSWORD}, 422, None),
            ("GET", "/users?limit=1001", None, 422, None),
        ]
        for method, path, body, status, code in calls:
            answer = await client.request(method, path, content=json.dumps(body), headers=JSON)
            assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
            assert answer.json()["detail"]
            assert not any(password in answer.text for password in (PASSWORD, SHORT))


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
