import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from producers import (
    CommandConflict,
    CommandDead,
    CommandParked,
    CommandRejected,
    CommandSuperseded,
    ResultExpired,
)
from producers.commands import CreateUser
from producers.errors import CommandError
from producers.wire import Answer, Ending, Envelope, Keys, command_uuid

ID = UUID("01890000-0000-7000-8000-000000000001")


def test_keys_carry_the_queue() -> None:
    keys = Keys("mails")
    assert keys.job(ID) == f"arq:job:mails:{ID}"
    assert keys.mark(ID) == f"crud:mails:mark:{ID}"
    assert keys.result(ID) == f"crud:mails:result:{ID}"
    assert keys.failures(keys.job_id(ID)) == f"crud:mails:failures:mails:{ID}"


def test_a_command_id_may_be_a_uuid_its_text_or_any_text() -> None:
    assert command_uuid(ID) == command_uuid(str(ID)) == ID
    assert command_uuid("order 17") == command_uuid("order 17") != command_uuid("order 18")
    assert command_uuid("order 17").version == 5


def test_an_envelope_comes_back_as_it_went() -> None:
    envelope = Envelope.of(CreateUser(name="Ünï — ✓", age=None), ID, generation=2)
    assert Envelope.decode(json.loads(envelope.encode())) == envelope
    assert envelope.payload == {"name": "Ünï — ✓", "age": None}


def test_a_repr_shows_no_personal_data() -> None:
    assert "Ada" not in repr(Envelope.of(CreateUser(name="Ada"), ID))
    assert "Ada" not in repr(Answer(Ending.APPLIED, {"name": "Ada"}))


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 2},
        {"id": "x"},
        {"id": None},
        {"kind": 1},
        {"version": "1"},
        {"payload": []},
        {"fingerprint": None},
        {"generation": "0"},
    ],
)
def test_a_damaged_envelope_is_a_value_error(damage: dict[str, Any]) -> None:
    raw = json.loads(Envelope.of(CreateUser(name="Ada"), ID).encode())
    with pytest.raises(ValueError, match=r".+"):
        Envelope.decode(raw | damage)


@pytest.mark.parametrize("raw", [None, 1, "x", [], {}, {"format": 1}])
def test_what_is_no_envelope_is_a_value_error(raw: Any) -> None:
    with pytest.raises(ValueError, match="not an envelope"):
        Envelope.decode(raw)


@pytest.mark.parametrize(
    ("ending", "code", "expected"),
    [
        (Ending.REJECTED, "unique", CommandRejected),
        (Ending.EXPIRED, "expired", CommandRejected),
        (Ending.SUPERSEDED, "superseded", CommandSuperseded),
        (Ending.CANCELLED, "cancelled", CommandRejected),
        (Ending.DEAD, "timeout", CommandDead),
        (Ending.DROPPED, "dropped", CommandDead),
        (Ending.REJECTED, "conflict", CommandConflict),
        (Ending.DEAD, "parked", CommandParked),
        (Ending.APPLIED, "result_expired", ResultExpired),
    ],
)
def test_an_answer_raises_the_error_that_it_stands_for(
    ending: Ending, code: str, expected: type[CommandError]
) -> None:
    answer = Answer(ending, error={"code": code, "message": "no", "field": "email"})
    with pytest.raises(expected) as raised:
        Answer.decode(answer.encode()).raise_error(ID)
    assert (raised.value.code, raised.value.field, raised.value.command_id) == (code, "email", ID)
    assert str(raised.value) == "no"


def test_a_result_too_large_to_keep_has_a_summary() -> None:
    answer = Answer(Ending.APPLIED, error={"code": "result_expired", "summary": {"count": 3}})
    with pytest.raises(ResultExpired) as raised:
        answer.raise_error(uuid4())
    assert raised.value.summary == {"count": 3}


def test_an_answer_without_an_error_raises_nothing() -> None:
    Answer.decode(Answer(Ending.APPLIED, {"id": "x"}).encode()).raise_error(ID)
