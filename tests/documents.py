"""What the documents tell of the code, made from the code: `make docs` writes it anew."""

import ast
import re
from pathlib import Path
from typing import Any

from tests import readme

VOCABULARY = readme.ROOT / "docs" / "vocabulary.md"

PLACE = re.compile(r"\[([\w.]+)\]\((\.\./[\w/.]+)#L(\d+)\)")
"""A link to the line where something is defined: its name, the file and the line."""


def with_tables(text: str) -> str:
    """The text with the tables that stand between marks."""
    tables = {
        "settings": readme.settings_table(),
        "commands": readme.commands_table(),
        "bench": readme.bench_table(),
        "chaos": readme.chaos_table(),
    }
    for mark, table in tables.items():
        begin, end = f"<!-- {mark} -->\n", f"\n<!-- /{mark} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + table + end + rest.partition(end)[2]
    return text


def with_lines(text: str, folder: Path) -> str:
    """The text with each place at the line where it is."""
    return PLACE.sub(lambda at: f"[{at[1]}]({at[2]}#L{line_of(folder / at[2], at[1])})", text)


def line_of(path: Path, name: str) -> int:
    """The line where a function, class or method is defined."""
    body: Any = ast.parse(path.read_text(encoding="utf-8")).body
    node: Any = None
    for part in name.split("."):
        found = [child for child in body if getattr(child, "name", None) == part]
        if not found:
            raise LookupError(f"{path.name} has no {name}")
        node, body = found[0], getattr(found[0], "body", [])
    return int(node.lineno)


if __name__ == "__main__":
    (readme.ROOT / "README.md").write_text(with_tables(readme.TEXT), encoding="utf-8")
    text = VOCABULARY.read_text(encoding="utf-8")
    VOCABULARY.write_text(with_lines(text, VOCABULARY.parent), encoding="utf-8")
