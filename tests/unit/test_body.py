"""The bytes of a job have one reader: however broken they are, a listing shows what can be read."""

from __future__ import annotations

import pytest

from worker.body import Body, written

ENVELOPE = '{"kind":"user.create","version":1,"payload":{"username":"ada"}}'


def _job(arguments: str) -> bytes:
    return f'{{"t":null,"f":"execute","k":{{}},"a":[{arguments}],"et":0}}'.encode()


def test_all_that_a_producer_wrote_is_read() -> None:
    body = Body.read(_job(f'{ENVELOPE},{{"accepted":5,"due":5,"deadline":null,"lanes":["user:1"]}}'))

    assert body.sent == ("user.create", 1, {"username": "ada"})
    assert (body.lanes, body.stamp["accepted"]) == (("user:1",), 5)


def test_half_of_an_emoji_is_read() -> None:
    assert Body.read(_job('{"payload":"\\ud83d"},{}')).payload == "\ud83d"


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        ",7",
        ",{}",
        ',{"accepted":"now"}',
        ',{"accepted":-1}',
        ',{"accepted":1e99}',
        ',{"accepted":1,"due":"now"}',
        ',{"accepted":1,"lanes":"user:1"}',
        ',{"accepted":1,"lanes":[1]}',
        ',{"accepted":1,"refs":null}',
        ',{"accepted":1},{}',
    ],
)
def test_a_command_is_read_whatever_its_stamp_is(stamp: str) -> None:
    body = Body.known(_job(ENVELOPE + stamp))

    assert body.sent == ("user.create", 1, {"username": "ada"})
    assert (body.stamp, body.lanes) == ({}, ())


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "not JSON"),
        (b"\x80\x04", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "but not a job"),
        (b'{"f":"send_mail","a":[]}', "'send_mail' is not a function"),
        (_job(""), "no envelope in it"),
    ],
)
def test_what_is_no_job_is_told_or_empty(raw: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Body.read(raw)
    assert Body.known(raw) == Body.known(None) == Body({}, {})
    assert Body.known(raw).payload is None


@pytest.mark.parametrize(
    "envelope",
    [
        "7",
        "[]",
        "{}",
        '{"kind":"user.create","version":1}',
        '{"kind":"user.create","version":1e999,"payload":{}}',
        '{"kind":"user.create","version":"one","payload":{}}',
        '{"kind":"user.create","version":1,"payload":7}',
    ],
)
def test_an_envelope_without_a_command_keeps_its_stamp(envelope: str) -> None:
    body = Body.read(_job(f'{envelope},{{"accepted":5,"lanes":["user:1"]}}'))

    assert body.lanes == ("user:1",)
    with pytest.raises(ValueError):  # noqa: PT011  # whatever is wrong with it
        _ = body.sent


def test_a_command_that_never_was_in_redis_is_read_as_any_other() -> None:
    assert Body.read(written(ENVELOPE)).sent == ("user.create", 1, {"username": "ada"})
