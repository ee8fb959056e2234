"""Variables of the environment that look like ours and are none; the versions of what we stand on."""

from __future__ import annotations

import difflib
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from producers.settings import Settings

from ..health import Check
from ..identity import DISTRIBUTION

_OURS = ("WORKER_", "QUEUE_", "PRODUCER_")
_OF_COMMAND_LINES = ("WORKER_APP", "PRODUCER_COMMANDS")
_PACKAGES = (DISTRIBUTION, "SQLAlchemy", "redis", "arq", "pydantic")


def unknown_settings(environment: Mapping[str, str]) -> Iterator[Check]:
    """Name the variables that are set and are no settings, with the nearest that is one."""
    variables = {kind.variable(name) for kind in _kinds(Settings) for name in kind.model_fields}
    known = sorted(variables.union(_OF_COMMAND_LINES))
    unknown = [name for name in sorted(environment) if name.startswith(_OURS) and name not in known]
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {near[0]}?" if near else "unset it; the README has a table of all settings"
        yield Check("settings", "", mend, f"{name} is set, and is no setting")
    if not unknown:
        yield Check("settings", "", found="each variable that is set is one of ours")


def _kinds(kind: type[Settings]) -> Iterator[type[Settings]]:
    for found in kind.__subclasses__():
        yield found
        yield from _kinds(found)


def versions() -> Check:
    """Tell the versions of Python and of the packages that matter."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name}, not installed but run from its folder")
    return Check("versions", "", found=", ".join(found))
