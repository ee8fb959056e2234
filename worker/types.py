"""Column types that mean the same on every database: text, times, UUIDs, JSON, bytes.

Text compares by code point and case-sensitively, a trailing space counts; times are aware, UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, DateTime, Integer, LargeBinary, String, Text, Uuid
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.types import TypeEngine

# An engine of an adopter's may call MariaDB by either name.
MARIADB = ("mariadb", "mysql")
# Without NOPAD, 'a' and 'a ' would be the same.
_BY_CODE_POINT = {"charset": "utf8mb4", "collation": "utf8mb4_nopad_bin"}


def string(length: int) -> String:
    """Text of at most `length` characters; SQLite does not hold it to that."""
    on_mariadb = mysql.VARCHAR(length, **_BY_CODE_POINT)
    plain = String(length).with_variant(String(length, collation="C"), "postgresql")
    return plain.with_variant(on_mariadb, *MARIADB)


def text() -> Text:
    """Text of any length."""
    # MariaDB's TEXT ends at 64 KiB.
    on_mariadb = mysql.LONGTEXT(**_BY_CODE_POINT)
    return Text().with_variant(Text(collation="C"), "postgresql").with_variant(on_mariadb, *MARIADB)


def uuid() -> Uuid[Any]:
    """UUID that sorts by its bytes: MariaDB's own UUID type sorts by its parts in another order."""
    return Uuid().with_variant(Uuid(native_uuid=False), *MARIADB)


def serial() -> BigInteger:
    """Numbers that the database chooses, each larger than those that are there."""
    return BigInteger().with_variant(Integer(), "sqlite")  # its BIGINT would not count up


def binary() -> LargeBinary:
    """Bytes, of any length."""
    return LargeBinary().with_variant(mysql.LONGBLOB(), *MARIADB)


def json() -> JSON:
    """JSON. None is SQL's NULL, never JSON's null: there is one way to say "nothing"."""
    return JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


class Time(TypeDecorator[datetime]):
    """A point in time: aware, UTC, to the microsecond."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Where a database has no time zones, hold UTC."""
        if dialect.name in MARIADB:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any zone into UTC; a time without one could be any."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs its zone, such as UTC")
        in_utc = value.astimezone(UTC)
        return in_utc if dialect.name == "postgresql" else in_utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Say that it is UTC."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class utcnow(FunctionElement[datetime]):  # noqa: N801  # a function of SQL
    """The time by the database's clock."""

    type = Time()
    inherit_cache = True


@compiles(utcnow)
def _standard(_element: utcnow, _compiler: SQLCompiler, **_options: Any) -> str:
    return "now()"


@compiles(utcnow, "sqlite")
def _of_sqlite(_element: utcnow, _compiler: SQLCompiler, **_options: Any) -> str:
    # In the form of stored times, which are text. SQLite's clock ends at milliseconds.
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiles(utcnow, *MARIADB)
def _of_mariadb(_element: utcnow, _compiler: SQLCompiler, **_options: Any) -> str:
    return "utc_timestamp(6)"
