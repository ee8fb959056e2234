"""Redis over TLS: producers and workers, their leases and answers; and what is told where it fails."""

from collections.abc import Callable, Iterator

import pytest

from producers import BlockingProducer, Producer, QueueSettings, QueueUnavailable
from producers.commands import CreateUser
from producers.tls import problem
from tests.guarded_redis import RedisByTLS
from tests.processes import Process, command_line, environment_of
from worker.demo.servers import ServerError


@pytest.fixture(scope="module")
def encrypted() -> Iterator[RedisByTLS]:
    """A Redis that wants certificates of its clients."""
    try:
        server = RedisByTLS(asks_clients=True)
        server.start()
    except ServerError as missing:
        pytest.skip(f"no Redis with TLS to start: {str(missing).splitlines()[0]}")
    yield server
    server.close()


@pytest.fixture
def url(encrypted: RedisByTLS) -> Callable[..., str]:
    """Makes a REDIS_URL; files are named by their names, and left out by None."""

    def url(**changes: str | None) -> str:
        given = {
            "ssl_ca_certs": "ca.pem",
            "ssl_certfile": "client.pem",
            "ssl_keyfile": "client.key",
            **changes,
        }
        return encrypted.url_by_tls(
            **{name: str(encrypted.path(file)) for name, file in given.items() if file}
        )

    return url


async def test_commands_and_answers_travel_encrypted(
    url: Callable[..., str], database_url: str, queue_name: str
) -> None:
    environment = environment_of(database_url, url(), queue_name)
    with Process("run", environment=environment) as worker:
        await worker.says("worker.started")
        async with Producer(url(), queue=queue_name) as producer:
            ada = await (await producer.send(CreateUser(username="ada"))).result(20)
        assert ada.username == "ada"
        assert (await command_line("check", "--alive", environment=environment)).returncode == 0


def test_a_script_speaks_tls_too(url: Callable[..., str], queue_name: str) -> None:
    with BlockingProducer(url(), queue=queue_name) as producer:
        assert producer.send(CreateUser(username="ada")).status == "accepted"


async def refusal(url: str, queue_name: str) -> str:
    settings = QueueSettings(redis_url=url, name=queue_name, redis_retries=0, redis_timeout=2)
    async with Producer(settings=settings) as producer:
        with pytest.raises(QueueUnavailable) as refused:
            await producer.send(CreateUser(username="ada"))
    return str(refused.value)


async def test_a_certificate_of_another_ca_is_refused(
    url: Callable[..., str], queue_name: str, database_url: str
) -> None:
    foreign = url(ssl_ca_certs="other.pem")

    assert "ssl_ca_certs=" in await refusal(foreign, queue_name)
    check = await command_line("check", environment=environment_of(database_url, foreign, queue_name))
    assert check.returncode == 1
    assert "not trusted" in check.stdout


async def test_a_certificate_of_another_host_is_refused(url: Callable[..., str], queue_name: str) -> None:
    assert "not trusted" in await refusal(url().replace("127.0.0.1", "localhost"), queue_name)


async def test_a_client_without_a_certificate_is_refused(url: Callable[..., str], queue_name: str) -> None:
    assert await refusal(url(ssl_certfile=None, ssl_keyfile=None), queue_name)


def test_who_has_no_certificate_is_told_what_to_name() -> None:
    alert = "Error while reading: [SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"

    assert "ssl_certfile=" in problem(ConnectionError(alert))


async def test_tls_to_a_plain_port_is_told_so(encrypted: RedisByTLS, queue_name: str) -> None:
    plain = f"rediss://127.0.0.1:{encrypted.port}/0"

    assert "that port of it is a plain one" in await refusal(plain, queue_name)


async def test_a_plain_connection_to_a_tls_port_is_refused(encrypted: RedisByTLS, queue_name: str) -> None:
    assert await refusal(f"redis://127.0.0.1:{encrypted.tls_port}/0", queue_name)
