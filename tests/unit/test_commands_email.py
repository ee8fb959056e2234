"""The quick way to an address says what email-validator says."""

import pytest
from pydantic import EmailStr, TypeAdapter, ValidationError

from producers.commands.email import Email

OURS: TypeAdapter[str] = TypeAdapter(Email)
THEIRS: TypeAdapter[str] = TypeAdapter(EmailStr)


def said(by: TypeAdapter[str], address: object) -> object:
    """Give the normal form of an address, or what is wrong with it."""
    try:
        return by.validate_python(address)
    except ValidationError as error:
        return [problem["msg"] for problem in error.errors()]


@pytest.mark.parametrize(
    "address",
    [
        *(
            "ada@example.com",
            "Ada@Example.COM",
            "a.b+c@sub.example.org",
            " ada@example.com ",
            "ä@exämple.com",
        ),
        *(
            "ada",
            "@example.com",
            "ada@",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a b@example.com",
        ),
        *(
            "ada@localhost",
            "ada@test",
            "ada@exa_mple.com",
            "ada@-example.com",
            "ada@example..com",
            "ada@[1.2.3.4]",
        ),
        *(
            "ada@example.com\n",
            "ada@xn--bcher-kva.example.com",
            f"{'a' * 65}@example.com",
            f"a@{'a' * 64}.com",
        ),
        *(f"a@{'.'.join(['a' * 60] * 5)}.com", 7, None),
    ],
)
def test_it_is_what_email_validator_says(address: object) -> None:
    for _ in range(2):  # the second time the domain is remembered
        assert said(OURS, address) == said(THEIRS, address)


def test_an_address_comes_without_a_name() -> None:
    assert said(OURS, "Ada <ada@example.com>") == [
        "Value error, give the bare address, without a name and angle brackets"
    ]
