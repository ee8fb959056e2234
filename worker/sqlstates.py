"""The SQLSTATE of an error, its name as PostgreSQL has it, and what the error is about."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from asyncpg import exceptions
from sqlalchemy.exc import EmulatedDBAPIException

from .error_numbers import about, by_number, mariadb_number

# asyncpg's classes are named after PostgreSQL's conditions, with these exceptions.
_NAMES = {
    "08000": "connection_exception",
    "08001": "sqlclient_unable_to_establish_sqlconnection",
    "08004": "sqlserver_rejected_establishment_of_sqlconnection",
    "09000": "triggered_action_exception",
    "0F000": "locator_exception",
    "0Z000": "diagnostics_exception",
    "22000": "data_exception",
    "2202E": "array_subscript_error",
    "22011": "substring_error",
    "22027": "trim_error",
    "22P01": "floating_point_exception",
    "2F000": "sql_routine_exception",
    "38000": "external_routine_exception",
    "38002": "modifying_sql_data_not_permitted",
    "38003": "prohibited_sql_statement_attempted",
    "38004": "reading_sql_data_not_permitted",
    "39000": "external_routine_invocation_exception",
    "39004": "null_value_not_allowed",
    "3B000": "savepoint_exception",
    "40001": "serialization_failure",
    "42000": "syntax_error_or_access_rule_violation",
    "42601": "syntax_error",
    "42803": "grouping_error",
    "42P20": "windowing_error",
    "58000": "system_error",
    "58030": "io_error",
    "F0000": "config_file_error",
    "HV000": "fdw_error",
    "HV010": "fdw_function_sequence_error",
    "P0000": "plpgsql_error",
    "P0001": "raise_exception",
    "P0004": "assert_failure",
    "XX000": "internal_error",
}
_WORD = re.compile(r"FDW|SQL|JSON|[A-Z][a-z0-9]*")
_KEYS = {"23001", "23503", "23505", "23P01"}
"""Their DETAIL begins with "Key (column, ...)=(value, ...)"; that of others may begin with values."""
_KEY = re.compile(r"[^(]*\(([^()]*)\)=\(")


@cache
def condition(sqlstate: str) -> str:
    """Name the condition of a SQLSTATE, such as "unique_violation" of 23505."""
    if sqlstate in _NAMES:
        return _NAMES[sqlstate]
    for error in vars(exceptions).values():
        if isinstance(error, type) and vars(error).get("sqlstate") == sqlstate:
            return "_".join(_WORD.findall(error.__name__.removesuffix("Error"))).lower()
    return f"sqlstate_{sqlstate.lower()}"


def driver_error(error: BaseException | None) -> Any:
    """Find the driver's own error, below SQLAlchemy's and its adapter's; else `error` itself."""
    orig = getattr(error, "orig", None)
    if isinstance(orig, EmulatedDBAPIException):
        return orig.__cause__ or orig
    return orig or error


def sqlstate_of(error: BaseException | None) -> str | None:
    """Find the SQLSTATE of an error of SQLAlchemy's or of the driver's."""
    driver = driver_error(error)
    state = by_number(driver) or getattr(driver, "sqlstate", None)
    return state if isinstance(state, str) else None


def columns(error: BaseException) -> str | None:
    """Name the columns that an error is about, without their values."""
    driver = driver_error(error)
    if named := about(driver)[0]:
        return named
    if column := getattr(driver, "column_name", None):
        return str(column)
    if sqlstate_of(error) not in _KEYS or not getattr(driver, "constraint_name", None):
        return None
    key = _KEY.match(getattr(driver, "detail", None) or "")
    return key.group(1).replace('"', "") if key else None


def constraint(error: BaseException) -> str | None:
    """Name the constraint that an error is about."""
    driver = driver_error(error)
    return about(driver)[1] or getattr(driver, "constraint_name", None)


def told_of_statement(error: BaseException) -> str | None:
    """Return what the database says of a statement that it does not understand: which table is missing, say.

    What it says of a row holds its values; so does what MariaDB says of syntax, as its driver writes the
    parameters into the statement.
    """
    driver, state = driver_error(error), sqlstate_of(error) or ""
    if not state.startswith("42") or not driver.args:
        return None
    if mariadb_number(driver) is not None and state not in {"42P01", "42703"}:
        return None
    return str(driver.args[-1])
