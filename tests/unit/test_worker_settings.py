"""DATABASE_URL as people write it, and errors that name the variable and never the password."""

import pytest
from sqlalchemy import make_url

from producers import InvalidSettings
from worker.settings import WorkerOptions

URL = "postgresql+asyncpg://ada:hunter2@db.example:5433/shop"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in WorkerOptions.model_fields:
        monkeypatch.delenv(WorkerOptions.variable(field), raising=False)
    monkeypatch.setenv("DATABASE_URL", URL)


def test_the_defaults_are_usable() -> None:
    options = WorkerOptions.load()
    assert (options.database_url, options.db_schema) == (URL, None)
    assert options.max_attempts > 1
    assert options.backoff < options.backoff_cap


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_SCHEMA", "jobs")
    monkeypatch.setenv("WORKER_JOB_TIMEOUT", "1.5")
    options = WorkerOptions.load()
    assert (options.db_schema, options.job_timeout) == ("jobs", 1.5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (URL, URL),
        (URL.replace("postgresql+asyncpg", "postgres"), URL),
        (URL.replace("postgresql+asyncpg", "postgresql"), URL),
        (f" {URL}\n", URL),
        (f"{URL}?sslmode=require", f"{URL}?ssl=require"),
        (f"{URL}?sslmode=allow&ssl=disable", f"{URL}?ssl=allow"),
        ("postgres:///shop?host=/run/postgresql", "postgresql+asyncpg:///shop?host=/run/postgresql"),
        ("postgres://ada:p%40ss%2Fw%3Ard@db/shop", "postgresql+asyncpg://ada:p%40ss%2Fw%3Ard@db/shop"),
        ("postgres://u@/shop?host=one:1&host=two:2", "postgresql+asyncpg://u@/shop?host=one:1&host=two:2"),
        ("sqlite:///shop.db", "sqlite+aiosqlite:///shop.db"),
        ("sqlite+aiosqlite:////var/lib/shop.db", "sqlite+aiosqlite:////var/lib/shop.db"),
        ("mysql://ada:p%40ss@db:3307/shop", "mariadb+asyncmy://ada:p%40ss@db:3307/shop"),
        ("mariadb://ada@/shop?unix_socket=/run/db", "mariadb+asyncmy://ada@/shop?unix_socket=/run/db"),
    ],
)
def test_urls_are_understood_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", given)
    assert make_url(WorkerOptions.load().database_url) == make_url(expected)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "must look like"),
        ("hunter2", "must look like"),
        ("db.example:5433/hunter2", "must look like"),
        (URL.replace("5433", "hunter2"), "must look like"),
        (URL.replace("5433", "99999"), "must have a port between 1 and 65535"),
        (URL.replace("postgresql+asyncpg", "oracle"), "must start with .* not oracle://"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:hunter2?mode=memory&uri=true", "must name a file"),
        ("sqlite://hunter2/shop.db", "must have three slashes"),
        ("sqlite:///shop.db?timeout=hunter2", "has timeout after its question mark, which aiosqlite"),
        (
            "mysql://ada:hunter2@db/shop?init_command=x",
            "has init_command after its question mark, which asyncmy",
        ),
        (
            URL.replace("postgresql+asyncpg", "postgresql+psycopg"),
            r"must start with .* not postgresql\+psycopg://",
        ),
        (f"{URL}?sslmode=hunter2", "must have one of disable, .* for its sslmode"),
        (f"{URL}?ssl=true", "must have one of disable, .* for its sslmode"),
        (f"{URL}?sslmode=require&sslmode=disable", "must have one of disable, .* for its sslmode"),
        (f"{URL}?channel_binding=hunter2&options=hunter2", "has channel_binding, options after its question"),
    ],
)
def test_a_broken_url_names_the_variable_and_never_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(InvalidSettings, match=f"^DATABASE_URL: {why}") as raised:
        WorkerOptions.load()
    assert "hunter2" not in repr(raised.value) + str(raised.value.__cause__)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_CONCURRENCY", "many"),
        ("WORKER_POOL_SIZE", "0"),
        ("WORKER_JOB_TIMEOUT", "0"),
        ("WORKER_COMMIT_TIMEOUT", "-1"),
        ("WORKER_MAX_ATTEMPTS", "0"),
        ("WORKER_UNREADABLE_TIMEOUT", "-1"),
        ("WORKER_ECHO", "everything"),
        ("WORKER_LOG_FORMAT", "xml"),
        ("WORKER_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings, match=f"^{variable}: "):
        WorkerOptions.load()


@pytest.mark.parametrize(
    ("url", "driver"), [("sqlite:///shop.db", "aiosqlite"), ("mysql://db/shop", "asyncmy")]
)
def test_a_driver_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, url: str, driver: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setattr("worker.database_url.find_spec", lambda _name: None)
    with pytest.raises(InvalidSettings, match=rf"^DATABASE_URL: needs {driver}: pip install 'crud-worker\["):
        WorkerOptions.load()


def test_sqlite_has_no_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///shop.db")
    monkeypatch.setenv("WORKER_SCHEMA", "jobs")
    with pytest.raises(InvalidSettings, match=r"^WORKER_SCHEMA: .*SQLite has no schemas"):
        WorkerOptions.load()


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "nowhere")
    monkeypatch.setenv("WORKER_BACKOFF", "soon")
    with pytest.raises(InvalidSettings, match=r"DATABASE_URL: .*; WORKER_BACKOFF: "):
        WorkerOptions.load()


def test_a_repr_does_not_show_the_password() -> None:
    assert "hunter2" not in repr(WorkerOptions.load())


def test_every_setting_is_described() -> None:
    assert all(field.description for field in WorkerOptions.model_fields.values())
