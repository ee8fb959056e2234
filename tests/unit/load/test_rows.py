import csv
from pathlib import Path

import pytest

from producers.commands import CreateUser
from producers.errors import BadRow
from producers.fields import Fields
from producers.load.columns import Columns
from producers.load.rows import Format, Row, format_of, read_rows

USER = Fields(CreateUser)


def read(tmp_path: Path, content: str | bytes, form: Format = "csv", key: str | None = None) -> list[Row]:
    """Write a file and read its rows."""
    path = tmp_path / "rows"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(path, Columns(USER, key=key), form=form, longest_cell=200_000))


def test_the_header_names_the_fields(tmp_path: Path) -> None:
    [row] = read(tmp_path, "username, age\nada,36\n")
    assert row.values == {"username": "ada", "age": "36"}
    assert (row.line, row.end) == (2, 21)


def test_an_empty_cell_is_not_set(tmp_path: Path) -> None:
    [row] = read(tmp_path, 'username,age,email\nada,,""\n')
    assert row.values == {"username": "ada"}


def test_a_nested_value_is_json(tmp_path: Path) -> None:
    [row] = read(tmp_path, 'username,posts\nada,"[{""title"": ""x""}]"\n')
    assert row.values == {"username": "ada", "posts": [{"title": "x"}]}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_usual_file_is_read(tmp_path: Path, end: str, mark: bytes) -> None:
    rows = read(tmp_path, mark + f"username,name{end}ada,Ädä{end}{end}bob,✓".encode())
    assert [(row.line, row.values["username"], row.values["name"]) for row in rows] == [
        (2, "ada", "Ädä"),
        (4, "bob", "✓"),
    ]


def test_lines_are_counted_through_quoted_ones(tmp_path: Path) -> None:
    rows = read(tmp_path, 'username,name\nada,"a\nb\n\nc"\nbob,B\n')
    assert [(row.line, row.values["name"]) for row in rows] == [(2, "a\nb\n\nc"), (6, "B")]


@pytest.mark.parametrize(
    ("bad", "flaw"),
    [
        (b"b,c,d", "3 cells, where the header has 2"),
        (b"b", "1 cells, where the header has 2"),
        (b"\xff,c", "not UTF-8"),
        (b"\xed\xa0\x80,c", "not UTF-8"),
        (b"b\x00,c", "NUL"),
    ],
)
def test_a_bad_row_does_not_hide_the_next(tmp_path: Path, bad: bytes, flaw: str) -> None:
    first, second, third = read(tmp_path, b"username,name\na,A\n" + bad + b"\nz,Z\n")
    assert (first.flaw, third.flaw) == ("", "")
    assert flaw in second.flaw
    assert (second.line, third.line) == (3, 4)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("usernam,name", "did you mean 'username'"),
        ("name,age,name", "the column 'name' is there twice"),
        ("name,,age", "column 2 has no name"),
        ("username;name", "unknown"),
        ("\0n\0a", "NUL"),
    ],
)
def test_a_wrong_header_says_why(tmp_path: Path, header: str, reason: str) -> None:
    with pytest.raises(BadRow, match=reason) as raised:
        read(tmp_path, f"{header}\na,b,c\n")
    assert raised.value.line == 1


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match="empty"):
        read(tmp_path, "")
    assert read(tmp_path, "", "jsonl") == []


@pytest.mark.parametrize("rest", ['b,"B\nc,C\n', 'b,"B"B\nc,C\n'])
def test_a_broken_quote_ends_the_reading(tmp_path: Path, rest: str) -> None:
    with pytest.raises(BadRow, match="quote") as raised:
        read(tmp_path, f"username,name\na,A\n{rest}")
    assert raised.value.line == 3


def test_a_cell_may_be_as_long_as_a_command(tmp_path: Path) -> None:
    [row] = read(tmp_path, f"name\n{'x' * 200_000}\n")
    assert len(row.values["name"]) == 200_000
    assert csv.field_size_limit() >= 200_000
    with pytest.raises(BadRow, match="larger than field limit"):
        read(tmp_path, f"name\n{'x' * (csv.field_size_limit() + 1)}\n")


@pytest.mark.parametrize(
    ("bad", "flaw"),
    [
        (b'{"name":', "broken JSON at column 9"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b'{"name": "\x00"}', "NUL"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_of_json_does_not_hide_the_next(tmp_path: Path, bad: bytes, flaw: str) -> None:
    first, second, third = read(tmp_path, b'{"name": "a"}\n\n' + bad + b'\n{"name": null}', "jsonl")
    assert flaw in second.flaw
    assert (first.line, second.line, third.line) == (1, 3, 4)
    assert third.values == {"name": None}


def test_the_key_may_be_a_column_that_is_no_field(tmp_path: Path) -> None:
    rows = read(tmp_path, "legacy,name\n17,a\n,b\n", key="legacy")
    assert (rows[0].key, rows[0].values) == ("17", {"name": "a"})
    assert rows[1].flaw == "nothing in 'legacy', the key"


def test_the_key_is_the_same_in_both_formats(tmp_path: Path) -> None:
    [row] = read(tmp_path, '{"legacy": 17, "name": "a"}', "jsonl", key="legacy")
    assert (row.key, row.values) == ("17", {"name": "a"})


def test_a_key_that_is_a_field_is_also_its_value(tmp_path: Path) -> None:
    [row] = read(tmp_path, "username\nada\n", key="username")
    assert (row.key, row.values) == ("ada", {"username": "ada"})


def test_a_key_needs_its_column(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match="no column 'legacy'"):
        read(tmp_path, "name\na\n", key="legacy")


def test_the_suffix_tells_the_format() -> None:
    assert (format_of(Path("a.CSV")), format_of(Path("a.ndjson"))) == ("csv", "jsonl")
    with pytest.raises(ValueError, match="the suffix does not say"):
        format_of(Path("a.txt"))
