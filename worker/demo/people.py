"""Who is who among the people that distributions name: each once, as a user that can be sent."""

from collections import Counter
from collections.abc import Iterable

from pydantic import ValidationError

from producers.commands import NewUser

from .installed import Mention


class People:
    """Each person once, in `users`; `refused` counts the addresses that are none, by reason."""

    def __init__(self, mentions: Iterable[Mention]) -> None:
        self.users: list[NewUser] = []
        self.refused: Counter[str] = Counter()
        self._known: dict[str, NewUser] = {}
        # Those with an address first: who has the same name elsewhere, without one, is taken to be the same.
        for mention in sorted(mentions, key=lambda mention: not mention.address):
            self._take(mention)

    def find(self, mention: Mention) -> NewUser | None:
        """Return who is meant: the same address goes before the same name."""
        return next((self._known[key] for key in _keys(mention) if key in self._known), None)

    def _take(self, mention: Mention) -> None:
        user = self.find(mention)
        if user is None:
            user = self._new(mention)
            if user is None:
                return
            self.users.append(user)
        for key in _keys(mention):
            self._known.setdefault(key, user)

    def _new(self, mention: Mention) -> NewUser | None:
        reason = refusal(mention.address) if mention.address else None
        if reason:
            self.refused[reason] += 1
        try:
            return NewUser(name=mention.name or None, email=None if reason else mention.address or None)
        except ValidationError:  # without an address, and with no name or one that is too long
            return None


def refusal(address: str) -> str | None:
    """Say why an address cannot be one of a user: what the producer's own validation says."""
    try:
        NewUser(email=address)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        return said.removeprefix("value is not a valid email address: ").removeprefix("Value error, ")
    return None


def _keys(mention: Mention) -> list[str]:
    """Name what tells people apart: an address and a name, whatever their case."""
    return [key.casefold() for key in (mention.address, mention.name) if key]
