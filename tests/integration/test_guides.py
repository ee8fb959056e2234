"""Every example of the guides in docs/, run as the README's are."""

from pathlib import Path

import pytest

from tests import readme
from tests.collector import collecting
from tests.console import Console
from tests.integration.test_readme import saved

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RUN = {
    "enqueue.md": {"From async code", "From scripts and other blocking code"},
    "domain.md": {"A whole example", "Test it"},
    "operate.md": {"Drain and stop", "Traces", "What to watch"},
    "guarantees.md": set[str](),
    "upgrading.md": {"The usual way", "When the fields of a command change"},
}


def package(console: Console) -> list[Path]:
    files = saved(console, "A whole example", "domain.md")
    (console.folder / "library" / "__init__.py").touch()
    return [*files, *saved(console, "Test it", "domain.md")]


@pytest.mark.parametrize("guide", readme.GUIDES)
def test_every_example_is_run(guide: str) -> None:
    examples = [block for block in readme.blocks(guide) if block.language in {"python", "console"}]
    assert {block.heading for block in examples} == RUN[guide]
    assert {block.language for block in readme.blocks(guide)} <= {"python", "console", "ini"}


async def test_a_request_that_comes_again_does_nothing_twice(served: Console) -> None:
    [signup] = saved(served, "From async code", "enqueue.md")
    assert await served.run(f"python {signup.name}") == "annie\nannie\nunique_violation: username\n"


async def test_a_nightly_script_may_run_again(served: Console) -> None:
    [nightly] = saved(served, "From scripts and other blocking code", "enqueue.md")
    assert await served.run(f"python {nightly.name}") == "88\n"
    assert await served.run(f"python {nightly.name}") == "88\n"


async def test_a_domain_of_ones_own_is_brought_and_tested(console: Console) -> None:
    package(console)
    migrate, create, run, *sends = readme.lines_of("A whole example", "domain.md")
    await console.run(migrate)
    await console.run(create)
    async with console.running(run):
        added, lent = [await console.run(line) for line in sends]
        assert '"title": "Emma"' in added
        assert '"reader": "ada"' in lent
        refused = await console.run(sends[1].replace("ada", "grace"), code=3)
        assert "all_lent: all copies are lent (field isbn" in refused
        refused = await console.run(sends[1].replace("978-1", "978-9"), code=3)
        assert "no_book" in refused
    [test] = readme.lines_of("Test it", "domain.md")
    assert "1 passed" in await console.run(test)


async def test_the_operators_lines_run(served: Console) -> None:
    paused, status, resumed = readme.lines_of("Drain and stop", "operate.md")
    await served.run(paused)
    assert "PAUSED" in await served.run(status)
    await served.run(resumed)
    for line in readme.lines_of("What to watch", "operate.md"):
        await served.run(line)


async def test_a_collector_is_sent_the_span(served: Console) -> None:
    [line] = readme.lines_of("Traces", "operate.md")
    with collecting() as collector:
        await served.run(line.replace("http://localhost:4318", collector.url))
    assert [one.service for one in collector.spans] == ["crud-producer"]


async def test_an_upgrade_runs(served: Console) -> None:
    for line in readme.lines_of("The usual way", "upgrading.md"):
        await served.run(line)
    [rename] = saved(served, "When the fields of a command change", "upgrading.md")
    assert await served.run(f"python {rename.name}") == "{'cents': 1250}\n"


async def test_the_type_checker_agrees_with_every_example(console: Console) -> None:
    for guide in readme.GUIDES:
        for heading in {block.heading for block in readme.blocks(guide)}:
            saved(console, heading, guide)
    package(console)
    assert "Success" in await console.run("mypy --strict .")
