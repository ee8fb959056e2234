"""Which SQLSTATE an error of MariaDB or SQLite stands for, by its number, and what it is about.

Numbers above 255 of SQLite's are its extended codes: the lowest byte is the plain one.
"""

from __future__ import annotations

import re
from typing import Any

MARIADB = {
    **dict.fromkeys((0, 2006, 2013, 2014, 2027, 2055, 4031), "08006"),
    **dict.fromkeys((2002, 2003, 2005, 1129, 1130), "08001"),
    **dict.fromkeys((1043, 1835, 1156, 1158, 1159, 1160, 1161, 1927), "08006"),
    **dict.fromkeys((1044, 1045, 1698, 1820, 4151), "28000"),
    **dict.fromkeys((1040, 1203, 1226), "53300"),
    **dict.fromkeys((1021, 1114, 28), "53100"),
    **dict.fromkeys((1037, 1038, 1041), "53200"),
    **dict.fromkeys((1053, 1077, 1079), "57P01"),
    **dict.fromkeys((1290, 1792, 1836), "25006"),
    **dict.fromkeys((1317, 1969, 3024), "57014"),
    **dict.fromkeys((1026, 1030, 1031), "58030"),
    **dict.fromkeys((1020, 1637), "40001"),
    **dict.fromkeys((1213, 1614), "40P01"),
    **dict.fromkeys((1205, 3572), "55P03"),
    **dict.fromkeys((1062, 1169, 1586), "23505"),
    **dict.fromkeys((1216, 1452), "23503"),
    **dict.fromkeys((1217, 1451), "23001"),
    **dict.fromkeys((1048, 1364), "23502"),
    **dict.fromkeys((3819, 4025), "23514"),
    **dict.fromkeys((1406, 1265), "22001"),
    **dict.fromkeys((1264, 1690, 1916), "22003"),
    **dict.fromkeys((1366, 1411, 1525), "22P02"),
    **dict.fromkeys((1292, 1441), "22007"),
    **dict.fromkeys((1300, 3854), "22021"),
    **dict.fromkeys((1118, 1153, 1301), "54000"),
    **dict.fromkeys((1242,), "21000"),
    **dict.fromkeys((1365,), "22012"),
    **dict.fromkeys((1064, 1149), "42601"),
    **dict.fromkeys((1142, 1143, 1227, 1370), "42501"),
    **dict.fromkeys((1305, 1128), "42883"),
    1049: "3D000",
    1050: "42P07",
    1054: "42703",
    1146: "42P01",
}
SQLITE = {
    **dict.fromkeys((5, 6, 15), "55P03"),
    **dict.fromkeys((3, 23), "42501"),
    **dict.fromkeys((1555, 2067, 2579), "23505"),
    **dict.fromkeys((11, 26), "XX001"),
    **dict.fromkeys((3091, 20), "22P02"),
    **dict.fromkeys((4, 9), "57014"),
    1: "42000",
    2: "XX000",
    7: "53200",
    8: "25006",
    10: "58030",
    13: "53100",
    14: "08001",
    17: "42P01",
    18: "54000",
    19: "23000",
    22: "54000",
    275: "23514",
    516: "40001",
    787: "23503",
    1299: "23502",
    1811: "P0001",  # what a trigger has raised
}
# All that SQLite says of these is SQLITE_ERROR. Behind the words come names, not values.
_SQLITE_WORDS = {"no such table": "42P01", "no such column": "42703", "has no column named": "42703"}
_SQLITE_COLUMNS = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: ([\w.]+(?:, [\w.]+)*)")
_SQLITE_CHECK = re.compile(r"CHECK constraint failed: (\w+)")
# A value can stand in front of what is found, or inside its quotes, but never behind it.
_MARIADB_COLUMN = re.compile(r"(?:Column|Field) '([^']+)' (?:cannot be null|doesn't have a default value)")
_MARIADB_PARENT = re.compile(r"CONSTRAINT `([^`]+)` FOREIGN KEY \(([^()]+)\) REFERENCES")
_MARIADB_CHECK = re.compile(r"CONSTRAINT `([^`]+)` failed for ")
_MARIADB_KEY = re.compile(r".* for key '([^']+)'", re.DOTALL)


def by_number(error: Any) -> str | None:
    """Find the SQLSTATE of an error of SQLite's or of asyncmy's."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == 1:
        said = str(error)
        return next((state for words, state in _SQLITE_WORDS.items() if words in said), SQLITE[1])
    if code is not None:
        return SQLITE.get(code) or SQLITE.get(code & 0xFF, "XX000")
    number = mariadb_number(error)
    return None if number is None else MARIADB.get(number)


def mariadb_number(error: Any) -> int | None:
    """Find the number of an error of MariaDB's; None where it is no such error."""
    from_driver = type(error).__module__.partition(".")[0] == "asyncmy"
    number = error.args[0] if from_driver and error.args else None
    return number if isinstance(number, int) else None


def about(error: Any) -> tuple[str | None, str | None]:
    """Name the columns and the constraint that an error is about, as far as it names them."""
    said = str(error.args[-1]) if getattr(error, "args", ()) else ""
    match mariadb_number(error):
        case None if hasattr(error, "sqlite_errorcode"):
            return _about_sqlite(said)
        case 1048 | 1364 if found := _MARIADB_COLUMN.fullmatch(said):
            return found.group(1), None
        case 1216 | 1217 | 1451 | 1452 if found := _MARIADB_PARENT.search(said):
            return found.group(2).replace("`", ""), found.group(1)
        case 4025 if found := _MARIADB_CHECK.match(said):
            return None, found.group(1)
        case 1062 if found := _MARIADB_KEY.fullmatch(said):
            # Its columns are known only to who knows the table: see mariadb.py.
            return getattr(error, "column_name", None), found.group(1)
    return None, None


def _about_sqlite(said: str) -> tuple[str | None, str | None]:
    if found := _SQLITE_COLUMNS.fullmatch(said):
        return ", ".join(name.rpartition(".")[2] for name in found.group(1).split(", ")), None
    check = _SQLITE_CHECK.fullmatch(said)
    return None, check.group(1) if check else None
