import pytest

from producers import InvalidSettings, Producer, QueueSettings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in QueueSettings.model_fields:
        monkeypatch.delenv(QueueSettings.variable(field), raising=False)


def test_the_defaults_suit_a_redis_on_this_machine() -> None:
    settings = QueueSettings.load()
    assert settings.redis_url == "redis://localhost:6379/0"
    assert settings.name == "crud"
    assert settings.max is None


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "rediss://elsewhere:6380/1")
    monkeypatch.setenv("QUEUE_NAME", "mails")
    monkeypatch.setenv("QUEUE_MAX", "10")
    settings = QueueSettings.load()
    assert (settings.redis_url, settings.name, settings.max) == ("rediss://elsewhere:6380/1", "mails", 10)


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://environment/0")
    monkeypatch.setenv("QUEUE_NAME", "environment")
    producer = Producer("redis://argument/0", queue="argument")
    assert producer.settings.redis_url == "redis://argument/0"
    assert producer.settings.name == "argument"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://:hunter2@localhost",
        "redis://:hunter2@localhost:port/0",
        "redis://:hunter2@localhost:6379/crud",
        "redis://:hunter2@localhost:99999999/0",
        "redis://:hunter2@[::1/0",
        "",
    ],
)
def test_a_broken_url_names_the_variable_and_never_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(InvalidSettings, match=r"^REDIS_URL: ") as raised:
        QueueSettings.load()
    assert "hunter2" not in str(raised.value)
    assert raised.value.code == "invalid_settings"
    assert "redis://" in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("QUEUE_MAX", "many"),
        ("QUEUE_MAX", "0"),
        ("QUEUE_HEADROOM", "1"),
        ("QUEUE_PAYLOAD_LIMIT", "12"),
        ("QUEUE_REDIS_TIMEOUT", "0"),
        ("QUEUE_NAME", ""),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings, match=f"^{variable}: "):
        QueueSettings.load()


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_MAX", "many")
    monkeypatch.setenv("REDIS_URL", "nowhere")
    with pytest.raises(InvalidSettings, match=r"REDIS_URL: .*; QUEUE_MAX: "):
        QueueSettings.load()


def test_a_repr_does_not_show_the_password() -> None:
    assert "hunter2" not in repr(QueueSettings(redis_url="redis://:hunter2@localhost/0"))


def test_every_setting_is_described() -> None:
    assert all(field.description for field in QueueSettings.model_fields.values())
