"""Passwords never travel: only what this makes of them does."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher

_hasher = PasswordHasher()


async def hash_password(plain: str) -> str:
    """Hash `plain` with argon2id, in a thread: it takes tens of milliseconds, and is meant to.

    The answer, about 100 characters, is what `hashed_password` of a user takes.
    """
    return await asyncio.to_thread(_hasher.hash, plain)
