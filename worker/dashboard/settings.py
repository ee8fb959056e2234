"""The dashboard's settings: WORKER_DASHBOARD_*."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from producers.settings import Settings

_LEAST = 8
"""Characters of a password or token that is not guessed at once."""


def _base_path(path: str) -> str:
    path = path.strip().strip("/")
    if not all(part.isascii() and part.isprintable() and part not in {".", ".."} for part in path.split("/")):
        raise ValueError("must look like /crud")
    return f"/{path}" if path else ""


class DashboardSettings(Settings):
    """Where the dashboard listens, and whom it lets in."""

    model_config = SettingsConfigDict(env_prefix="WORKER_DASHBOARD_")

    password: str = Field(default="", repr=False, description="Lets a person in who signs in with it.")
    token: str = Field(
        default="",
        repr=False,
        description="The same for a program, as `Authorization: Bearer`; a person may sign in with it too.",
    )
    write: bool = Field(
        default=False, description="Let who is signed in retry, mend and drop what failed; else only look."
    )
    host: str = Field(default="127.0.0.1", description="The address that the dashboard listens on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Its port.")
    base_path: Annotated[str, AfterValidator(_base_path)] = Field(
        default="", description="The path under which a reverse proxy shows it, such as `/crud`."
    )
    proxies: str = Field(
        default="127.0.0.1",
        description="Addresses or networks, with commas, of reverse proxies whose X-Forwarded-* is believed.",
    )
    session: float = Field(
        default=8, gt=0, le=168, description="Hours until who signed in has to do it again."
    )

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
        if not (self.password or self.token):
            raise ValueError(
                "nobody could sign in: set WORKER_DASHBOARD_PASSWORD for people or WORKER_DASHBOARD_TOKEN "
                "for programs, such as the output of `openssl rand -hex 16`"
            )
        for name, secret in (("PASSWORD", self.password), ("TOKEN", self.token)):
            if secret and len(secret) < _LEAST:
                raise ValueError(f"WORKER_DASHBOARD_{name} is too short: take at least {_LEAST} characters")
        return self
