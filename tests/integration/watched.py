"""A worker that serves /metrics, /livez and /readyz, as Prometheus and Kubernetes meet it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Process

HTTP = "127.0.0.1:0"


class Watched:
    """The worker's process, and what it answers."""

    def __init__(self, process: Process, client: httpx.AsyncClient) -> None:
        self.process, self.client = process, client

    async def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and, besides others, these labels."""
        text = (await self.client.get("/metrics")).raise_for_status().text
        return sum(
            value for found, at, value in samples(text) if found == name and labels.items() <= at.items()
        )

    async def status(self, path: str) -> int:
        return (await self.client.get(path)).status_code

    async def problems(self, path: str) -> dict[str, str]:
        """What it finds wrong, by the name of the check."""
        answer = (await self.client.get(path)).json()
        assert answer["ok"] == all(check["ok"] for check in answer["checks"])
        return {check["name"]: check["problem"] for check in answer["checks"] if not check["ok"]}


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, labels and value of each sample of a scrape."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


@asynccontextmanager
async def watched(*arguments: str, environment: dict[str, str]) -> AsyncIterator[Watched]:
    """Start it, at a port that is free, and end it as a supervisor would."""
    with Process("run", *arguments, environment=environment | {"WORKER_HTTP": HTTP}) as process:
        await process.says('"worker.http"')
        [event] = process.events("worker.http")
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{event['port']}", timeout=20, trust_env=False
        ) as client:
            yield Watched(process, client)
        if process.is_running:
            assert await asyncio.wait_for(process.stop(), 30) == 0
