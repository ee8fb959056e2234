"""What is personal or secret stays in the payload: it is told by no log, error, listing or screen.

All that is said of a person here has the word `unmistakable` in it, or was born on the day of BORN. To hold
another surface to it, add it to SURFACES.
"""

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args
from uuid import UUID

import pytest

from producers import Atomic, Command, CommandError, F, Producer, Receipt
from producers.commands import CreateUser, CreateUsers, NewProfile, NewUser, OneUser, UpdateUser
from producers.settings import QueueSettings
from producers.wire import Envelope
from tests.collector import collecting
from tests.guarantees.conftest import Rows
from tests.guarantees.screens import screens
from tests.guarantees.secretive_app import PATH, Greet, Way
from tests.integration.watched import watched
from tests.processes import command_line, environment_of

WORD, BORN = "unmistakable", date(1815, 12, 10)
EMAIL, NAME, SECRET = f"{WORD}@private.example", f'O\'{WORD}\n "Ada" Ünmistakable', f"$argon2id${WORD}"
PERSON: dict[str, Any] = {"name": NAME, "hashed_password": SECRET, "profile": NewProfile(bio=f"the {WORD}")}
STANDS = UUID(int=77)
MANY_LINES = (
    sys.executable,
    "-c",
    """
import json, sys
from worker.cli import cli
for line in sys.argv[1:]:
    try:
        cli.main(json.loads(line))
    except SystemExit as end:
        assert end.code in {0, 1}, line
""",
)
PRODUCERS = (sys.executable, "-m", "producers")


@dataclass
class Scene:
    """What happened: the worker's log and what it showed of itself, and what the producer was told."""

    environment: dict[str, str]
    log: str
    watched: str
    traces: str
    receipts: list[Receipt[Any]]
    errors: list[CommandError]
    commands: list[Command[Any]]


def greeting(way: Way, **more: Any) -> Greet:
    return Greet(way=way, name=NAME, born=BORN, tokens=(SECRET,), **more)


COMMANDS: list[Command[Any]] = [
    CreateUser(id=STANDS, email=EMAIL, **PERSON),
    CreateUser(email=EMAIL, **PERSON),
    CreateUsers(rows=[NewUser(name=NAME), NewUser(email=EMAIL, hashed_password=SECRET)]),
    Atomic([CreateUser(name=NAME), greeting("bug")]),
    OneUser(where=(F.email == EMAIL) & (F.name == f"not {WORD}")),
    *(greeting(way) for way in get_args(Way)),
    greeting("bug", id=STANDS),
    UpdateUser(id=STANDS, name=f"{WORD} too", expected_version=1),
]
UNREADABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "no address": ("user.create", {"email": f"x@{WORD} .org"}),
    "too long": ("user.create", {"name": WORD * 100}),
    "a field too many": ("user.create", {"name": NAME, "maiden_name": NAME}),
    "no condition": ("user.list", {"where": f"name = '{WORD}'"}),
    "another type": ("user.create", {"email": {"to": EMAIL}, "age": [WORD], "hashed_password": 7}),
    "in an Atomic": ("atomic", {"commands": [{"kind": "user.create", "payload": {"email": WORD}}]}),
    "nobody's kind": ("nobody.knows", {"email": EMAIL}),
}


@pytest.fixture
async def scene(database_url: str, queue: QueueSettings, producer: Producer) -> Scene:
    """Sends it all, and lets a worker process come to an end with each."""
    limits = {"WORKER_MAX_ATTEMPTS": "1", "WORKER_UNREADABLE_TIMEOUT": "0", "WORKER_LOG_LEVEL": "debug"}
    environment = environment_of(database_url, queue.redis_url, queue.name, WORKER_APP=PATH, **limits)
    receipts = await producer.send_many(COMMANDS)
    for number, (kind, payload) in enumerate(UNREADABLE.values(), 1):
        receipts.append(await unreadable(producer, Envelope(UUID(int=number), kind, 1, "f", 0, payload)))

    errors = []
    with collecting() as collector:
        telling = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with watched(environment=telling) as worker:
            for receipt in receipts:
                try:
                    await receipt.result(30)
                except CommandError as error:
                    errors.append(error)
            pages = [(await worker.client.get(path)).text for path in ("/metrics", "/livez", "/readyz")]
            assert await worker.process.stop() == 0
            log = worker.process.output
    traces = collector.raw.decode(errors="replace")
    return Scene(environment, log, "".join(pages), traces, receipts, errors, COMMANDS)


async def unreadable(producer: Producer, envelope: Envelope) -> Receipt[Any]:
    """Queue what a producer of today would not send."""
    body = f'{{"t": 1, "f": "execute", "a": [{envelope.encode()}, {{"accepted": 1}}], "k": {{}}, "et": 1}}'
    await producer.redis.set(producer.keys.job(envelope.id), body)
    await producer.redis.zadd(producer.keys.queue, {producer.keys.job_id(envelope.id): 1})
    return producer.receipt(envelope.id, Command)


Surface = Callable[[Scene, Rows], Awaitable[str]]


async def _log(scene: Scene, _letters: Rows) -> str:
    assert '"command.ended"' in scene.log
    return scene.log


async def _watched(scene: Scene, _letters: Rows) -> str:
    assert 'kind="user.greet"' in scene.watched
    return scene.watched


async def _traces(scene: Scene, _letters: Rows) -> str:
    assert scene.traces.count("attempt failed") > len(UNREADABLE)
    return scene.traces


async def _dashboard(scene: Scene, letters: Rows) -> str:
    ids = [str(receipt.command_id) for receipt in scene.receipts]
    told = await screens(scene.environment, ids)
    assert told.count("hidden") > 10 * len(ids)
    assert told.count("<h2>Mend and retry</h2>") == 2 * len(await letters())
    return told


async def _reprs(scene: Scene, _letters: Rows) -> str:
    return "".join(f"{command!r}{command}" for command in scene.commands)


async def _errors(scene: Scene, _letters: Rows) -> str:
    assert {error.code for error in scene.errors} >= {
        "bug", "unique_violation", "check_violation", "string_data_right_truncation", "undefined_table",
        "no_friend", "not_found", "unreadable", "parked",
    }  # fmt: skip
    return "".join(f"{error!r}{error}{error.field}{vars(error)}" for error in scene.errors)


async def _letter_columns(_scene: Scene, letters: Rows) -> str:
    rows = await letters()
    assert len(rows) > len(UNREADABLE) + len(get_args(Way))
    return "".join(str({**row._mapping, "body": None}) for row in rows)


async def _by_hand(scene: Scene, *lines: Sequence[str]) -> str:
    """Run lines of `python -m worker`, all in one process: to start many takes its time."""
    ran = await command_line(
        *(json.dumps(line) for line in lines), environment=scene.environment, program=MANY_LINES
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


async def _listings(scene: Scene, _letters: Rows) -> str:
    row = ("user", str(STANDS))
    commands = (("dead", "list"), ("why", *row), ("status",))
    told = await _by_hand(scene, *commands, *((*command, "--json") for command in commands))
    assert "user.greet" in told
    assert "dead for" in told
    return told


async def _shown(scene: Scene, letters: Rows) -> str:
    ids = [str(row.command_id) for row in await letters()]
    told = await _by_hand(scene, *(("dead", "show", one, *form) for one in ids for form in ((), ("--json",))))
    assert told.count('"hidden"') > 2 * len(ids)
    return told


async def _refused_edits(scene: Scene, letters: Rows) -> str:
    ids = [str(row.command_id) for row in await letters() if row.kind == "user.create"]
    edits = ("--set", f"email={WORD}", "--set", f"age={WORD}", "--set", f"name={WORD * 100}")
    told = await _by_hand(scene, *(("dead", "retry", one, *edits) for one in ids))
    assert told.count("cannot be replayed") == len(ids)
    return told


async def _sent_in_vain(scene: Scene, _letters: Rows) -> str:
    told = []
    for given in (
        ("--email", f"x@{WORD} .org"),
        ("--name", WORD * 100, "--age", WORD),
        ("--hashed-password", WORD),
        ("--email", EMAIL, "--wait", "--timeout", "0.1"),
    ):
        sent = await command_line(
            "send", "user.create", *given, environment=scene.environment, program=PRODUCERS
        )
        assert sent.returncode != 0
        told.append(sent.stdout + sent.stderr)
    return "".join(told)


SURFACES: dict[str, Surface] = {
    "the log": _log,
    "/metrics, /livez, /readyz": _watched,
    "traces": _traces,
    "the repr of a command": _reprs,
    "what a producer is told": _errors,
    "the columns of dead letters": _letter_columns,
    "dead list, why, status": _listings,
    "dead show": _shown,
    "dead retry, refused": _refused_edits,
    "send, in vain": _sent_in_vain,
    "the dashboard": _dashboard,
}


async def test_it_stays_in_the_payload(scene: Scene, letters: Rows) -> None:
    for name, surface in SURFACES.items():
        told = (await surface(scene, letters)).casefold()
        for value in (WORD, "ünmistakable", str(BORN), repr(BORN), str(BORN.toordinal())):
            assert value.casefold() not in told, f"{name}: {told}"


async def test_only_who_asks_is_shown_what_is_personal_and_that_is_logged(
    scene: Scene, letters: Rows
) -> None:
    [letter, *_] = [row for row in await letters() if row.code == "no_friend"]
    asked = await command_line(
        "dead", "show", str(letter.command_id), "--reveal", environment=scene.environment
    )
    assert str(BORN) in asked.stdout
    assert SECRET not in asked.stdout
    assert '"letter.revealed"' in asked.stderr
    assert str(letter.command_id) in asked.stderr
