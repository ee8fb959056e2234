"""DATABASE_URL as people write it, and as SQLAlchemy and asyncpg take it."""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

# What asyncpg takes as text; with any other word in the URL it would fail at the first connection.
_QUERY = {
    *("host", "port", "user", "password", "passfile", "database", "service", "servicefile"),
    *("ssl", "krbsrvname", "gsslib", "target_session_attrs"),
    *("command_timeout", "prepared_statement_cache_size"),
}
_SSL = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def normalized_url(url: str) -> str:
    """Return `url` for SQLAlchemy and asyncpg; raise ValueError, without the URL in it."""
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        message = "must look like postgresql+asyncpg://user:password@host:5432/name"
        raise ValueError(message) from None
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+asyncpg")
    if parsed.drivername != "postgresql+asyncpg":
        message = f"must start with postgresql+asyncpg:// (or postgres://), not {parsed.drivername}://"
        raise ValueError(message)
    if parsed.port is not None and not 0 < parsed.port < 65536:  # noqa: PLR2004  # what a port may be
        raise ValueError("must have a port between 1 and 65535")
    if "sslmode" in parsed.query:  # asyncpg knows the same words by another name
        mode = parsed.query["sslmode"]
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    if parsed.query.get("ssl", "prefer") not in _SSL:
        message = f"must have one of {', '.join(_SSL)} for its sslmode"
        raise ValueError(message)
    if unknown := sorted(parsed.query.keys() - _QUERY):
        message = f"has {', '.join(unknown)} after its question mark, which asyncpg does not understand"
        raise ValueError(message)
    return parsed.render_as_string(hide_password=False)
