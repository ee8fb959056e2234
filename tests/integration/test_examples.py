"""The examples, each run as a reader would: by the line that stands in it, from a copy of the folder."""

import ast
import json
import re
import shutil
from pathlib import Path
from uuid import UUID

import pytest

from tests import readme
from tests.console import ROOT, Console
from tests.integration import test_examples_service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EXAMPLES = ROOT / "examples"
FILES = sorted(path.name for path in EXAMPLES.iterdir() if not path.name.startswith((".", "__")))


def copied(console: Console) -> Console:
    """Put a copy of the examples into the shell's folder."""
    shutil.copytree(EXAMPLES, console.folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return console


@pytest.fixture
def shell(served: Console) -> Console:
    """A shell with a worker behind it, in a folder that has the examples."""
    return copied(served)


def docstring(name: str) -> str:
    """What an example says of itself."""
    return ast.get_docstring(ast.parse((EXAMPLES / name).read_text())) or ""


def line_of(name: str) -> str:
    """The line that an example says it is run by, without the arguments that may be left out."""
    line = f"python examples/{name}"
    assert f"`{line}" in docstring(name)
    return line


@pytest.mark.parametrize("name", FILES)
def test_every_example_has_a_test_named_after_it(name: str) -> None:
    subject = re.sub(r"\W", "_", name.removesuffix(".py"))
    assert [
        test for test in (*globals(), *vars(test_examples_service)) if test.startswith(f"test_{subject}_")
    ]


def test_every_example_is_in_the_readme() -> None:
    named = [re.findall(r"\((examples/.+)\)", row[0]) for row in readme.table("example")]
    assert sorted(path for paths in named for path in paths) == [f"examples/{name}" for name in FILES]


@pytest.mark.parametrize("name", FILES)
def test_no_example_names_a_place_on_this_machine(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert not re.findall(r"(?<![\w.}])/(?:home|root|Users|tmp|work|opt|usr|src)\b", text)


async def test_script_may_be_run_again(shell: Console) -> None:
    first, second = [await shell.run(line_of("script.py")) for _ in range(2)]
    assert first.startswith("accepted ")
    assert second == first.replace("accepted", "duplicate")
    assert first.endswith("\nGrace Hopper\nGrace Hopper 85 ['On compilers']\nunique_violation username\n")


async def test_async_script_tells_of_each_what_became_of_it(shell: Console) -> None:
    first, second = [await shell.run(line_of("async_script.py")) for _ in range(2)]
    assert second == first
    said = dict(line.split(": ") for line in first.splitlines())
    assert list(said) == ["ada", "alan", "alan.turing", "barbara"]
    refused = [name for name, words in said.items() if words == "unique_violation email"]
    assert refused in (["alan"], ["alan.turing"])
    assert all(UUID(words) for name, words in said.items() if name not in refused)


async def test_notebook_ipynb_runs_in_a_running_loop(shell: Console, tmp_path: Path) -> None:
    line = f"python {ROOT / 'tests' / 'notebook.py'} examples/notebook.ipynb"
    printed = await shell.run(line, IPYTHONDIR=str(tmp_path / "ipython"))
    assert "UserView(id=UUID(" in printed
    assert "[{'username': 'katherine', 'age': 101}]" in printed
    assert "unique_violation username" in printed


def test_notebook_ipynb_has_the_form_of_one_and_no_outputs() -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert {"cell_type", "id", "metadata", "source"} <= cell.keys()
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


async def test_cron_opens_one_thread_a_day(shell: Console) -> None:
    line = line_of("cron.py")
    assert [await shell.run(f"{line} 2026-01-3{day}") for day in (0, 1, 1)] == [
        "Thread of 2026-01-30: accepted\n",
        "Thread of 2026-01-31: accepted\n",
        "Thread of 2026-01-31: duplicate\n",
    ]
    assert "accepted" in await shell.run(line)  # today's
    assert await shell.run("python -m producers send post.count --wait") == "3\n"


async def test_cron_says_why_there_is_no_thread(console: Console) -> None:
    settings = {"REDIS_URL": "redis://127.0.0.1:1/0", "QUEUE_REDIS_RETRIES": "0"}
    said = await copied(console).run(f"{line_of('cron.py')} 2026-01-31", code=1, **settings)
    assert said.startswith("no thread for 2026-01-31: queue_unavailable: ")


async def test_cron_has_lines_that_run_once_a_day(shell: Console) -> None:
    nightly, script = re.findall(r"^ +\d+ 0 \* \* \* (.+)$", docstring("cron.py"), re.MULTILINE)
    assert script == line_of("cron.py")
    assert re.search(r"(?<!\\)%", nightly) is None  # to cron it is a line's end
    line = nightly.replace("\\%", "%")  # as cron hands it to sh
    # Run twice, it says the same of the same user; a third time, if midnight came between the two.
    said = [await shell.run(line) for _ in range(3)]
    assert len({printed.partition("\n")[0] for printed in said}) <= 2
    assert '"username": "guest-20' in said[0]


async def test_bulk_load_adds_only_what_is_new(shell: Console) -> None:
    line = line_of("bulk_load.py")
    first = await shell.run(line)
    assert first.startswith("line 7: bad: age: ")
    assert "7 rows: 6 new, 0 known, 1 refused\n" in first
    assert "100% read, 6 applied" in first  # on stderr

    table = shell.folder / "examples" / "users.csv"
    header, *rows = table.read_text().splitlines()
    mended = [header, "lynn,Lynn Conway,,86", *reversed(rows)]
    (shell.folder / "mended.csv").write_text("\n".join(mended).replace("seventy", "70"))
    assert "8 rows: 2 new, 6 known, 0 refused\n" in await shell.run(f"{line} mended.csv")


async def test_users_csv_can_be_loaded_from_the_shell(shell: Console) -> None:
    [line] = re.findall(r"`(python -m producers load FILE .+)`", docstring("bulk_load.py"))
    printed = await shell.run(line.replace("FILE", "examples/users.csv"))
    assert '"rows": 7, "bad": 1, "accepted": 6' in printed
    karen = await shell.run("python -m producers send user.get --username karen --wait")
    assert json.loads(karen)["name"] == "Karen Spärck Jones"


TYPED = """\
from producers import BlockingProducer, F
from producers.commands import CreateUser, CountUsers
producer = BlockingProducer()
ada = producer.send(CreateUser(name="Ada", email="ada@example.com")).result(timeout=20)
ada.name
producer.send(CountUsers(where=F.email == "ada@example.com")).result(timeout=20)
producer.close()
"""


@pytest.mark.parametrize("shell_line", ["python -i", "ipython --simple-prompt --no-banner"])
async def test_typed_into_a_plain_shell_of_python_or_ipython(served: Console, shell_line: str) -> None:
    (served.folder / "typed.py").write_text(TYPED)
    printed = await served.run(f"{shell_line} < typed.py")
    assert "'Ada'\n" in printed
    assert re.search(r"^(Out\[\d+\]: |.*)?1$", printed, re.MULTILINE)
    assert "Error" not in printed
