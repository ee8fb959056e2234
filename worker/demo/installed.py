"""What is installed beside this script, by `importlib.metadata`: texts, people and dependencies."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import getaddresses
from importlib.metadata import Distribution, distributions
from itertools import zip_longest
from typing import NamedTuple

_ROLES = ("Author", "Maintainer")
_BETWEEN_NAMES = re.compile(r",(?! *(?:Inc|LLC|Ltd|GmbH)\b)|;| and ")
_CROWD = re.compile(
    r"(many )?(others|contributors)\b", re.IGNORECASE
)  # "Ned Batchelder and many others" is one
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Mention(NamedTuple):
    """Someone who is named as author or maintainer; name or address may be missing."""

    name: str
    address: str


@dataclass(frozen=True)
class Installed:
    """One distribution; `fields` are its address fields as written, `needs` the names of its dependencies."""

    name: str
    summary: str
    description: str
    fields: tuple[str, ...]
    people: tuple[Mention, ...]
    needs: tuple[str, ...]


def installed() -> list[Installed]:
    """Read the metadata of each distribution; where one is there twice, of the one that Python imports."""
    found: dict[str, Installed] = {}
    for distribution in distributions():
        name = _first(distribution, "Name")
        if name and normalized(name) not in found:
            found[normalized(name)] = _read(distribution, name)
    return [found[name] for name in sorted(found)]


def normalized(name: str) -> str:
    """Spell a distribution's name the one way that stands for all: `Foo.Bar_baz` is `foo-bar-baz`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(distribution: Distribution, name: str) -> Installed:
    return Installed(
        name=name,
        summary=_first(distribution, "Summary"),
        description=_first(distribution, "Description"),
        fields=tuple(field for role in _ROLES for field in _all(distribution, f"{role}-email")),
        people=tuple(person for role in _ROLES for person in _people(distribution, role)),
        needs=tuple(
            normalized(match.group()) for need in distribution.requires or [] if (match := _NAME.match(need))
        ),
    )


def _people(distribution: Distribution, role: str) -> Iterator[Mention]:
    """Read who has a role; an address without a name gets the name at its place in the other field."""
    nameless = []
    for name, address in getaddresses(_all(distribution, f"{role}-email")):
        if name and address:
            yield Mention(" ".join(name.split()), address)
        elif address:
            nameless.append(address)
    written = (
        " ".join(name.split()) for field in _all(distribution, role) for name in _BETWEEN_NAMES.split(field)
    )
    names = [name for name in written if name and not _CROWD.match(name)]
    for name, address in zip_longest(names, nameless, fillvalue=""):
        yield Mention(name, address)


def _first(distribution: Distribution, field: str) -> str:
    return next(iter(_all(distribution, field)), "")


def _all(distribution: Distribution, field: str) -> list[str]:
    """Return what a field says, without the word that old tools wrote where there was nothing to say."""
    values = (str(value).strip() for value in distribution.metadata.get_all(field) or [])
    return [value for value in values if value and value != "UNKNOWN"]
