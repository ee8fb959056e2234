"""What a Redis keeps when it ends, how much room it has left, and whether it can be written to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from ..health import Check

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SECTIONS = ("server", "memory", "persistence", "replication")
_WRITES = {"aof_last_write_status": "its append-only file", "rdb_last_bgsave_status": "a snapshot"}
_LOSES = {"always": "a crash loses nothing", "everysec": "a crash may lose its last second"}
_FULL = 0.8


async def examine_redis(redis: Redis, headroom: float) -> list[Check]:
    """Look at a Redis that answers; sends leave a share of `headroom` of its memory free."""
    info: dict[str, Any] = {}
    for section in _SECTIONS:
        info |= await redis.info(section)
    server = Check("redis server", "", found=str(info.get("redis_version", "?")))
    return [server, role(info), persistence(info, await _configured(redis)), memory(info, headroom)]


async def _configured(redis: Redis) -> dict[str, str]:
    try:
        return {**await redis.config_get("appendfsync"), **await redis.config_get("save")}
    except RedisError:  # a hosted service, or a user without that right
        return {}


def role(info: Mapping[str, Any]) -> Check:
    """Say whether it can be written to."""
    found = str(info.get("role", "master"))
    problem = "" if found == "master" else "is a replica: nothing can be written to it"
    return Check("redis role", problem, "set REDIS_URL to its primary", found=found)


def persistence(info: Mapping[str, Any], configured: Mapping[str, str]) -> Check:
    """Say what a crash or a restart loses; `configured` is empty where Redis does not tell."""
    name, fsync = "redis on disk", configured.get("appendfsync", "")
    for status, what in _WRITES.items():
        if info.get(status, "ok") != "ok":
            mend = "make room on its disk, and see its log"
            return Check(name, f"could not write {what} the last time", mend)
    if not info.get("aof_enabled"):
        keeps = (
            "keeps nothing: a restart" if configured.get("save") == "" else "keeps snapshots only: a crash"
        )
        mend = "run `redis-cli config set appendonly yes` and put it into redis.conf"
        return Check(name, "", mend, f"{keeps} loses what was sent directly")
    if fsync == "no":
        mend = "run `redis-cli config set appendfsync everysec` and put it into redis.conf"
        return Check(name, "", mend, "appendfsync is no: a crash may lose half a minute of what was sent")
    return Check(name, "", found=", ".join(filter(None, ("append-only file", fsync, _LOSES.get(fsync)))))


def memory(info: Mapping[str, Any], headroom: float) -> Check:
    """Say how much room is left, of its maxmemory or of the machine's memory."""
    name, used, limit = "redis memory", int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    most = limit or int(info.get("total_system_memory", 0))
    if not most:
        return Check(name, "", found=f"{_mib(used)} used")
    told = f"{_mib(used)} of {_mib(most)} used ({'maxmemory' if limit else 'of the machine'})"
    mend = "raise maxmemory, or have more workers; `python -m worker status` shows what waits"
    if limit and used > limit * (1 - headroom):
        return Check(name, f"{told}: sends are refused (QUEUE_HEADROOM)", mend)
    return Check(name, "", mend, told if used > most * _FULL else "", told)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
