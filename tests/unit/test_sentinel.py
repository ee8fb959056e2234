import pytest
from redis.asyncio import Redis

from producers import QueueSettings
from producers.connection import connect, sentinels
from producers.errors import InvalidSettings
from producers.sentinel import Sentinels
from worker.app import App
from worker.main import app as example
from worker.plain_arq import worker_settings
from worker.settings import WorkerOptions

URL = "redis+sentinel://ada:hunter2@one:26380,two,[::1]:26381/orders/3?sentinel_password=s%26t"


def test_a_url_names_the_sentinels_the_master_and_the_database() -> None:
    found = Sentinels(URL, timeout=1)
    assert found.addresses == [("one", 26380), ("two", 26379), ("::1", 26381)]
    assert found.master == "orders"
    assert found.url == "redis://ada:hunter2@localhost/3"


def test_user_password_and_database_are_the_masters() -> None:
    pool = connect(QueueSettings(redis_url=URL), Redis).connection_pool
    told = {name: pool.connection_kwargs[name] for name in ("username", "password", "db")}
    assert told == {"username": "ada", "password": "hunter2", "db": 3}


def test_with_tls_sentinels_are_asked_by_it_too() -> None:
    url = "rediss+sentinel://one/orders?ssl_ca_certs=/etc/ca.pem"
    client = connect(QueueSettings(redis_url=url), Redis)
    found = client.connection_pool.connection_kwargs["sentinels"]
    assert client.connection_pool.connection_kwargs["ssl_ca_certs"] == "/etc/ca.pem"
    assert (found._options["ssl"], found._options["ssl_ca_certs"]) == (True, "/etc/ca.pem")
    blocking = found.blocking(client.connection_pool.connection_kwargs)
    assert "SSL" in blocking.connection_pool.connection_class.__name__


@pytest.mark.parametrize(("given", "checks"), [("", True), ("?ssl_check_hostname=false", False)])
def test_the_name_on_a_sentinels_certificate_is_checked_unless_the_url_says_otherwise(
    given: str,
    *,
    checks: bool,
) -> None:
    sentinels = Sentinels(f"rediss+sentinel://a,b/mymaster{given}", timeout=1)
    assert sentinels._options["ssl_check_hostname"] is checks


def test_the_sentinel_that_failed_is_asked_last_whoever_else_doubts_it_meanwhile() -> None:
    sentinels = Sentinels("redis+sentinel://a,b/mymaster", timeout=1)
    for _ in range(2):
        sentinels.doubt(("a", 26379))
    assert sentinels.addresses == [("b", 26379), ("a", 26379)]


def test_a_url_of_a_redis_itself_has_none() -> None:
    assert sentinels(QueueSettings(redis_url="redis://localhost:6379/0")) is None


def test_arq_is_told_of_them() -> None:
    app = App(
        dict(example.handlers),
        settings=WorkerOptions(database_url="postgresql://nobody@localhost/none"),
        queue=QueueSettings(redis_url=URL),
    )
    told = worker_settings(app).redis_settings  # type: ignore[attr-defined]
    assert (told.sentinel, told.sentinel_master, told.host[0]) == (True, "orders", ("one", 26380))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://:hunter2@one:26379/", "must name the master"),
        ("redis+sentinel://:hunter2@one:26379/orders/first", "must name the master"),
        ("redis+sentinel://:hunter2@one:port/orders", "must have hosts with ports"),
        ("redis+sentinel://:hunter2@one,,two/orders", "must name a sentinel"),
        ("redis+sentinel://:hunter2@[::1/orders", "must have hosts"),
    ],
)
def test_a_url_that_is_wrong_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^REDIS_URL: {told}") as raised:
        QueueSettings.load(redis_url=url)
    assert "hunter2" not in str(raised.value)
