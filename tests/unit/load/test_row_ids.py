from typing import ClassVar
from uuid import UUID

from producers.commands import CreateUser, DeleteUser
from producers.load.row_ids import RowIds

ADA, BOB = CreateUser(username="ada"), CreateUser(username="bob")


def ids(*commands: CreateUser, key: str | None = None) -> list[UUID]:
    """Give the ids of the rows of one file."""
    with RowIds() as row_ids:
        return [UUID(str(row_ids.of(command, key).id)) for command in commands]


def test_a_file_read_again_has_the_same_ids() -> None:
    assert ids(ADA, BOB) == ids(ADA, BOB)


def test_their_order_does_not_matter() -> None:
    assert set(ids(ADA, BOB, ADA)) == set(ids(ADA, ADA, BOB))


def test_equal_rows_are_told_apart_by_their_occurrence() -> None:
    one, two, three = ids(ADA, ADA, ADA)
    assert len({one, two, three}) == 3
    assert ids(ADA, ADA) == [one, two]


def test_a_key_stands_for_the_content() -> None:
    assert len(set(ids(ADA, BOB, ADA, key="17"))) == 1
    assert ids(ADA, key="17") != ids(ADA, key="18") != ids(ADA)


def test_the_kind_is_part_of_it() -> None:
    with RowIds() as row_ids:
        assert row_ids.of(ADA, "17") != row_ids.of(DeleteUser(username="ada"), "17")


def test_they_are_the_same_for_ever() -> None:
    """A file that was loaded with an older release must not be loaded anew with a newer one."""
    assert ids(ADA, ADA) == [
        UUID("496e43bb-6fa2-5607-be99-07cc13fdd98b"),
        UUID("927d7a41-7350-5825-a155-74ec602e4755"),
    ]


def test_a_newer_version_of_the_command_changes_nothing() -> None:
    class Newer(CreateUser):
        version: ClassVar[int] = 2

    assert ids(Newer(**ADA.to_wire())) == ids(ADA)
