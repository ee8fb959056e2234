"""Every example of the README, as it stands there: copied to an empty folder, and run."""

import re
from pathlib import Path

import pytest

from tests import readme
from tests.console import Console

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def saved(console: Console, heading: str, guide: str = "") -> list[Path]:
    """Write the Python under a heading, of the README or a guide, to the files that it says it is."""
    written = []
    for block in readme.blocks(guide):
        if (block.heading, block.language) == (heading, "python"):
            path = console.folder / block.path
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
            written.append(path)
    return written


def test_every_example_is_run_or_has_a_reason_not_to_be() -> None:
    run = {"crud-worker", "Sixty seconds", "Send commands", "Ask", "In a transaction of your own"}
    run |= {'What "accepted" survives', "Hear of changes", "Operate", "See it", "Bring your own domain"}
    examples = [block for block in readme.blocks() if block.language in {"python", "console"}]
    assert {block.heading for block in examples} == run
    assert {block.language for block in readme.blocks()} == {"python", "console", "text"}
    lines = [line for block in examples for line in block.lines]
    assert all(any(line.startswith(reason) for line in lines) for reason in readme.NOT_RUN)


async def test_the_worker_starts_as_it_says(served: Console) -> None:
    await served.run("python -m worker check")


async def test_the_first_script_runs(served: Console) -> None:
    [hello] = saved(served, "crud-worker")
    assert re.match(r"ada [0-9a-f-]{36}$", await served.run(f"python {hello.name}"))


async def test_the_blocking_script_runs_and_prints_what_its_comments_say(served: Console) -> None:
    [script] = saved(served, "Send commands")
    printed = await served.run(f"python {script.name}")
    said = re.findall(r"print\(.*\)  # (.+)$", script.read_text(), re.MULTILINE)
    assert said == ["duplicate", "unique_violation username"]
    assert all(f"\n{words}\n" in printed for words in said)
    assert "\n1000\n" in printed


async def test_the_lines_that_send_run(served: Console) -> None:
    (served.folder / "users.csv").write_text("username,email\nkathleen,k@example.com\njean,\n")
    printed = "".join([await served.run(line) for line in readme.lines_of("Send commands")])
    assert '"username": "alan", "email": null' in printed
    assert '"title": "Abstraction"' in printed
    assert '"rows": 2, "bad": 0, "accepted": 2' in printed
    assert "--title STRING" in printed


async def test_what_is_asked_is_answered(served: Console) -> None:
    [script] = saved(served, "Ask")
    printed = await served.run(f"python {script.name}")
    assert "{'username': 'edsger', 'posts.title': 'First, no goto'}" in printed
    assert printed.endswith("\n0\n1\n")
    by_text, by_json = [await served.run(line) for line in readme.lines_of("Ask")]
    assert '{"username": "edsger"}' in by_text
    assert by_json.endswith("1\n")


async def test_a_command_in_a_transaction_of_ones_own_is_carried_out(served: Console) -> None:
    [script] = saved(served, "In a transaction of your own")
    assert await served.run(f"python {script.name}") == "katherine\n"


@pytest.fixture
def feeding(console: Console) -> None:
    console.environment["WORKER_FEED"] = "true"


@pytest.mark.usefixtures("feeding")
async def test_changes_are_heard_of(served: Console) -> None:
    [script] = saved(served, "Hear of changes")
    assert await served.run(f"python {script.name}") == "user.create user 1\n"


async def test_what_was_loaded_is_verified(served: Console) -> None:
    (served.folder / "users.csv").write_text("username\nradia\n")
    await served.run("python -m producers load users.csv --as user.create --wait")
    by_outbox, by_ledger = [await served.run(line) for line in readme.lines_of('What "accepted" survives')]
    assert by_outbox.startswith("direct sends cannot be checked")
    assert "accepted   1: 1 applied" in by_ledger


async def test_the_operators_lines_run(served: Console) -> None:
    printed = "".join([await served.run(line) for line in readme.lines_of("Operate")])
    assert "eviction   ok" in printed
    assert "endings of the last hour" in printed
    assert "no letters" in printed


async def test_a_domain_of_ones_own_runs(console: Console) -> None:
    assert {path.name for path in saved(console, "Bring your own domain")} == {"commands.py", "jobs.py"}
    (console.folder / "shop" / "__init__.py").touch()
    migrate, create, run, send = readme.lines_of("Bring your own domain")
    await console.run(migrate)
    await console.run(create)
    async with console.running(run):
        assert '"cents": 1200' in await console.run(send)
        refused = await console.run(send.replace("1200", "0"), code=3)
        assert "no_money: an invoice is about some money (field cents" in refused
    test = "import asyncio, shop.jobs, worker.testing; from shop.commands import CreateInvoice"
    [spelled] = [span for span in readme.SPANS if span.startswith("await worker.testing.execute(")]
    call = spelled.removeprefix("await ").replace("(app", "(shop.jobs.app")
    assert "cents=1" in await console.run(f"python -c '{test}; print(asyncio.run({call}))'")


async def test_the_type_checker_agrees_with_every_example(console: Console) -> None:
    files = [
        path for heading in {block.heading for block in readme.blocks()} for path in saved(console, heading)
    ]
    (console.folder / "shop" / "__init__.py").touch()
    assert len(files) == 7
    assert "Success" in await console.run("mypy --strict .")
