"""What producers and workers must agree on: where Redis is and how the queue behaves."""

from __future__ import annotations

from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .durability import Durability
from .errors import InvalidSettings
from .sentinel import Sentinels, is_by_sentinel

_MOST_KEYS, _SHORTEST_KEY = 2, 32


def _redis_url(url: str) -> str:
    if is_by_sentinel(url):
        Sentinels(url, timeout=1)
        return url
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        message = "must look like redis://host:6379/0 (its port is not a number)"
        raise ValueError(message) from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        message = "must start with redis://, rediss://, redis+sentinel:// or unix://"
        raise ValueError(f"{message}, as in redis://localhost:6379/0")
    if parts.scheme != "unix" and parts.path.strip("/") and not parts.path.strip("/").isdigit():
        message = "must end with a database number, as in redis://localhost:6379/0"
        raise ValueError(message)
    return url


def _signing_keys(text: str) -> str:
    keys = [key.strip() for key in text.split(",")]
    if text.strip() and not (
        len(keys) <= _MOST_KEYS
        and len(set(keys)) == len(keys)
        and all(len(key) >= _SHORTEST_KEY for key in keys)
    ):
        message = (
            f"must be one key or two, with a comma between, of {_SHORTEST_KEY} characters or more; "
            "make one with `openssl rand -base64 32`"
        )
        raise ValueError(message)
    return text


class Settings(BaseSettings):
    """Settings read from the environment, whose errors name the variable and never show its value."""

    model_config = SettingsConfigDict(
        extra="ignore", hide_input_in_errors=True, populate_by_name=True, frozen=True
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the environment; `given` goes before it, where it is not None. Raise InvalidSettings."""
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise InvalidSettings(cls._explain(error)) from None

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        lines = []
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            variable = cls.variable(name)
            lines.append(f"{variable or 'settings'}: {problem['msg'].removeprefix('Value error, ')}")
        return "; ".join(lines)

    @classmethod
    def variable(cls, name: str) -> str:
        """Name the environment variable of the field `name`."""
        field = cls.model_fields.get(name)
        if field is None:
            return name.upper()
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):
            return str(alias.choices[0])
        return f"{cls.model_config.get('env_prefix', '')}{name}".upper()


class QueueSettings(Settings):
    """The queue, as both of its sides see it."""

    model_config = SettingsConfigDict(env_prefix="QUEUE_")

    redis_url: Annotated[str, AfterValidator(_redis_url)] = Field(
        default="redis://localhost:6379/0",
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
        repr=False,
        description="The Redis that holds the queue: redis://, rediss:// (TLS) or unix://; "
        "by Sentinel redis+sentinel://host,host2/mymaster/0, or rediss+sentinel://.",
    )
    name: str = Field(default="crud", min_length=1, max_length=100, description="The name of the queue.")
    max: int | None = Field(
        default=None,
        ge=1,
        description="Most commands that may wait; beyond it a send raises QueueFull. No limit by default.",
    )
    lane_max: int | None = Field(
        default=100_000,
        ge=1,
        description="Most commands of one row that may wait; beyond it a send raises QueueFull.",
    )
    headroom: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of Redis's maxmemory that sends leave free; below it they raise QueueFull.",
    )
    payload_limit: int = Field(
        default=256 * 1024,
        ge=1024,
        description="Largest command, in bytes of JSON; beyond it a send raises PayloadTooLarge.",
    )
    durability: Durability = Field(
        default="memory",
        description="What a send waits for: `memory` (Redis's answer), `fsync` (its disk) or `replica`.",
    )
    result_ttl: float = Field(default=3600, gt=0, description="Seconds that a result stays in Redis.")
    mark_ttl: float = Field(
        default=3600,
        gt=0,
        description="Seconds after its ending that a command's id is still known to be a duplicate in Redis.",
    )
    signing_keys: Annotated[str, AfterValidator(_signing_keys)] = Field(
        default="",
        repr=False,
        description="One key or two, with a comma between: the first signs commands, both are accepted.",
    )
    signing_required: bool = Field(
        default=True, description="Where there are keys: refuse commands that are not signed."
    )
    redis_timeout: float = Field(default=5, gt=0, description="Seconds to wait for one answer of Redis.")
    redis_patience: float = Field(
        default=30, gt=0, description="Seconds that a send may take, with all its repetitions."
    )
    redis_retries: int = Field(
        default=5, ge=0, description="How often a call to Redis is repeated, with growing pauses."
    )
