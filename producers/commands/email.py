"""Email addresses: those that email-validator takes, in the form that it gives them.

It takes its time, most of it for the domain. A million addresses have few domains, so those are remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import EmailStr, Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.networks import validate_email
from pydantic_core import PydanticCustomError

from .base import Personal

_PLAIN = re.compile(r"([a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@([A-Za-z0-9.-]+)")
"""An address whose part before the @ needs no closer look."""
_LONGEST_LOCAL, _LONGEST = 64, 200


@lru_cache(maxsize=4096)
def _normalized(domain: str) -> str | None:
    try:
        return validate_email(f"a@{domain}")[1].removeprefix("a@")
    except PydanticCustomError:
        return None


def _validated(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value)
        if plain and len(plain[1]) <= _LONGEST_LOCAL and len(value) <= _LONGEST:
            domain = _normalized(plain[2])
            if domain is not None:
                return f"{plain[1]}@{domain}"
        if "<" in value:
            message = "give the bare address, without a name and angle brackets"
            raise ValueError(message)
    return validate(value)


Email = Annotated[
    EmailStr,
    WrapValidator(_validated),
    Field(max_length=255, description="at most 255 characters, unique"),
    Personal(),
]
