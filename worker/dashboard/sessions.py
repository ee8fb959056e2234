"""Who is signed in: a signed cookie, and the word that each form of a session bears."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from itsdangerous import BadSignature, TimestampSigner

if TYPE_CHECKING:
    from .settings import DashboardSettings

COOKIE = "crud_dashboard"


class Sessions:
    """Signs and reads the cookies of sessions.

    The key derives from the secrets: another password ends all sessions, a restart ends none. It is slow to
    make, so that a cookie is of no use for guessing the password.
    """

    def __init__(self, settings: DashboardSettings) -> None:
        secret = f"{len(settings.password)}:{settings.password}{settings.token}".encode()
        self._key = hashlib.scrypt(secret, salt=b"crud-worker dashboard", n=2**14, r=8, p=1)
        self._signer = TimestampSigner(self._key, salt="session", digest_method=hashlib.sha256)
        self.seconds = round(settings.session * 3600)

    def begin(self) -> str:
        """Make the cookie of a new session."""
        return self._signer.sign(secrets.token_urlsafe(16)).decode()

    def read(self, cookie: str) -> str | None:
        """Return the name of the session that a cookie is of; None where it is forged or over."""
        try:
            return self._signer.unsign(cookie, max_age=self.seconds).decode()
        except BadSignature:
            return None

    def form_word(self, session: str) -> str:
        """Return what each form of a session bears, and no other site can know."""
        return hmac.new(self._key, f"form:{session}".encode(), "sha256").hexdigest()

    def is_form_word(self, session: str, word: str) -> bool:
        """Whether a form is of this session."""
        return hmac.compare_digest(self.form_word(session).encode(), word.encode())
