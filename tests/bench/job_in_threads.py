"""The same job for contenders that run threads or processes: a session on psycopg."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session, sessionmaker

from producers.commands import CreateUser
from worker.models import User

from .job import CORE, SLOTS, values

_LOCK = threading.Lock()


def insert_user(payload: dict[str, Any]) -> str:
    """Insert one user in a session of its own."""
    command = CreateUser.model_validate(payload)
    with _sessions()() as session:
        if CORE:
            session.execute(insert(User), values(command))
        else:
            session.add(User(**values(command)))
        session.commit()
    return str(command.id)


@cache
def _made() -> sessionmaker[Session]:
    url = os.environ["DATABASE_URL"].replace("+asyncpg", "+psycopg")
    return sessionmaker(create_engine(url, pool_size=SLOTS, max_overflow=0), expire_on_commit=False)


def _sessions() -> sessionmaker[Session]:
    with _LOCK:
        return _made()
