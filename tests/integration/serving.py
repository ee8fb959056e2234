"""The FastAPI services of the examples, over HTTP: uvicorn and a worker as processes of their own."""

import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.processes import ROOT, Process

PASSWORD = "correct horse"


@asynccontextmanager
async def serving(
    environment: dict[str, str], name: str = "service.py", **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Start a service as it says itself; end it as a supervisor would."""
    [line] = re.findall(r"`(uvicorn [^`]+)`", (ROOT / "examples" / name).read_text())
    program = (sys.executable, "-m", *shlex.split(line))
    with Process("--port", "0", environment=environment | settings, program=program) as service:
        await service.says("Uvicorn running on ")
        [url] = re.findall(r"Uvicorn running on (http://\S+)", service.output)
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            yield client
        service.send(signal.SIGTERM)
        await service.end()
        assert "Application shutdown complete" in service.output


@asynccontextmanager
async def working(
    environment: dict[str, str], name: str = "service.py", **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A service, and a worker behind it."""
    with Process("run", environment=environment | settings) as worker:
        async with serving(environment, name) as client:
            await worker.says("worker.started")
            yield client


async def sign_up(client: httpx.AsyncClient, username: str, **fields: str | int) -> str:
    """Create a user, wait until it is there, and return its id."""
    accepted = await client.post("/users", json={"username": username, "password": PASSWORD, **fields})
    outcome = await client.get(accepted.headers["Location"], params={"wait": 20})
    assert outcome.json()["status"] == "applied", outcome.text
    return str(outcome.json()["result"]["id"])
