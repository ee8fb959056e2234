"""DATABASE_URL as people write it, and as SQLAlchemy and the drivers take it."""

from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

POSTGRESQL, SQLITE, MARIADB = "postgresql+asyncpg", "sqlite+aiosqlite", "mariadb+asyncmy"
_DRIVERS = {
    **dict.fromkeys(("postgres", "postgresql", POSTGRESQL), POSTGRESQL),
    **dict.fromkeys(("sqlite", SQLITE), SQLITE),
    **dict.fromkeys(("mysql", "mariadb", "mysql+asyncmy", MARIADB), MARIADB),
}
# What the driver takes as text; with any other word in the URL it would fail at the first connection.
_QUERY = {
    POSTGRESQL: {
        *("host", "port", "user", "password", "passfile", "database", "service", "servicefile"),
        *("ssl", "krbsrvname", "gsslib", "target_session_attrs"),
        *("command_timeout", "prepared_statement_cache_size"),
    },
    SQLITE: set[str](),
    MARIADB: {"unix_socket", "ssl_ca", "ssl_cert", "ssl_key"},
}
_SSL = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def normalized_url(url: str) -> str:
    """Return `url` for SQLAlchemy and the driver; raise ValueError, without the URL in it."""
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        message = "must look like postgresql+asyncpg://user:password@host:5432/name"
        raise ValueError(message) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        message = f"must start with {POSTGRESQL}:// (or postgres://), {SQLITE}:// or {MARIADB}://"
        raise ValueError(f"{message}, not {parsed.drivername}://")
    parsed = parsed.set(drivername=driver)
    if parsed.port is not None and not 0 < parsed.port < 65536:  # noqa: PLR2004  # what a port may be
        raise ValueError("must have a port between 1 and 65535")
    if driver == POSTGRESQL:
        parsed = _with_ssl(parsed)
    if driver == SQLITE:
        _check_file(parsed)
    if unknown := sorted(parsed.query.keys() - _QUERY[driver]):
        name = driver.partition("+")[2]
        message = f"has {', '.join(unknown)} after its question mark, which {name} does not understand"
        raise ValueError(message)
    _check_installed(driver)
    return parsed.render_as_string(hide_password=False)


def _with_ssl(parsed: URL) -> URL:
    """Understand libpq's sslmode: asyncpg knows the same words by another name."""
    if "sslmode" in parsed.query:
        mode = parsed.query["sslmode"]
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    if parsed.query.get("ssl", "prefer") not in _SSL:
        message = f"must have one of {', '.join(_SSL)} for its sslmode"
        raise ValueError(message)
    return parsed


def _check_file(parsed: URL) -> None:
    if parsed.host:
        raise ValueError("must have three slashes before a relative path, four before an absolute one")
    if not parsed.database or ":memory:" in parsed.database or parsed.database.startswith("file:"):
        raise ValueError("must name a file: each connection would have a database in memory of its own")


def _check_installed(driver: str) -> None:
    module, extra = driver.partition("+")[2], {SQLITE: "sqlite", MARIADB: "mysql"}.get(driver)
    if extra is not None and find_spec(module) is None:
        raise ValueError(f"needs {module}: pip install 'crud-worker[{extra}]'")
