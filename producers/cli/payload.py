"""The payload of a command, put together from JSON, options and --null."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..fields import Fields, broken


def payload(
    fields: Fields, text: str | None, options: Mapping[str, Any], nulls: Sequence[str]
) -> dict[str, Any]:
    """Put it together: options go over the JSON. Raise ValueError with what is wrong."""
    data = {} if text is None else _from_json(text)
    for name, value in options.items():
        if fields[name].is_list:
            data[name] = fields[name].parse_all(value)
        else:
            data[name] = fields[name].parse(value)
    for spelled in nulls:
        name = spelled if spelled in fields else spelled.replace("-", "_")
        fields.check(name)
        if name in options:
            raise ValueError(f"{name}: give it a value or --null, not both")
        data[name] = None
    return data


def _from_json(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        data = json.loads(text)
    except UnicodeDecodeError:
        raise ValueError("what came on stdin is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(broken(error)) from None
    if not isinstance(data, dict):
        raise ValueError('the JSON is not an object, like {"field": "value"}')  # noqa: TRY004  # not its type's fault
    return data
