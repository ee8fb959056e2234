"""A web service before the queue: `uvicorn examples.service:app`, and then http://127.0.0.1:8000/docs.

It needs FastAPI and Redis, and neither SQLAlchemy nor the database. There is no `get_db`: the worker opens a
session and a transaction for each command. Who may call it is left to you.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, TypedDict, TypeVar
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Query, Request, Response, status
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, SecretStr

from producers import (
    Command,
    CommandConflict,
    CommandDead,
    CommandError,
    CommandRejected,
    Page,
    Payload,
    PayloadTooLarge,
    Producer,
    ResultExpired,
    ResultTimeout,
    hash_password,
)
from producers.commands import (
    CreatePost,
    CreateUser,
    DeleteUser,
    GetPost,
    GetUser,
    ListUsers,
    PostView,
    UpdateUser,
    UserView,
)
from producers.commands.email import Email
from producers.commands.post import Content, Title
from producers.commands.user import Age, Name, Username

R = TypeVar("R")
T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a request waits for a worker."""


class Accepted(BaseModel):
    """The command is in the queue; `Location` says where to ask for its outcome."""

    command_id: UUID


class Problem(BaseModel):
    """Why it did not work; `code` is a stable word for programs."""

    detail: str
    code: str
    field: str | None
    command_id: UUID | None


class State(TypedDict):
    """What lives as long as the service."""

    producer: Producer


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    """Open one producer for all requests; each worker process of uvicorn has its own."""
    async with Producer() as producer:  # $REDIS_URL, or redis://localhost:6379/0
        yield {"producer": producer}


app = FastAPI(
    title="Users and posts",
    lifespan=lifespan,
    responses={code: {"model": Problem} for code in (404, 409, 503, 504)},
)


async def get_producer(request: Request) -> Producer:
    """Return the producer of the lifespan; tests may override it."""
    producer: Producer = request.state.producer
    return producer


ProducerDep = Annotated[Producer, Depends(get_producer)]

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
"""Becomes the command id: a request that is repeated with the same key writes once.

Keys are shared by all clients. Where yours do not know each other, put the client's name before it.
"""


class UserFields(Payload):
    """What a client may set of a user; its types are those of the commands, and so are its limits."""

    username: Username | None = None
    email: Email | None = None
    name: Name | None = None
    age: Age | None = None


class SignUp(UserFields):
    """A new user."""

    username: Username
    password: Annotated[SecretStr, Field(min_length=8, max_length=200)]


class PostFields(Payload):
    """A new post."""

    title: Title
    content: Content = ""


class Outcome(BaseModel):
    """What became of a command."""

    status: Literal["pending", "applied", "failed"]
    result: Any = None
    error: Problem | None = None


# Accepted now, done later: 202.


@app.post("/users", status_code=status.HTTP_202_ACCEPTED)
async def create_user(
    new: SignUp, producer: ProducerDep, request: Request, response: Response, key: IdempotencyKey = None
) -> Accepted:
    """Accept a new user, and answer before it is there."""
    hashed = await hash_password(new.password.get_secret_value())  # the password itself never travels
    fields = new.model_dump(exclude={"password"}, exclude_unset=True)
    receipt = await producer.send(CreateUser(**fields, hashed_password=hashed), command_id=key)
    response.headers["Location"] = str(request.url_for("look_up", command_id=receipt.command_id))
    return Accepted(command_id=receipt.command_id)


@app.get("/commands/{command_id}")
async def look_up(
    command_id: UUID, producer: ProducerDep, wait: Annotated[float, Query(ge=0, le=30)] = 0
) -> Outcome:
    """Look up what became of a command; wait up to `wait` seconds for it."""
    try:
        result = await producer.receipt(command_id, Command[Any]).result(timeout=wait)
    except ResultTimeout:
        return Outcome(status="pending")
    except (CommandRejected, CommandConflict, CommandDead) as error:
        return Outcome(status="failed", error=problem(error))
    return Outcome(status="applied", result=result)


# Waited for: the answer is the result; or 202, where it is not there in time.

LATE: dict[int | str, dict[str, Any]] = {202: {"model": Accepted}}


@app.post("/users/{user_id}/posts", status_code=status.HTTP_201_CREATED, responses=LATE)
async def create_post(
    user_id: UUID,
    new: PostFields,
    *,
    producer: ProducerDep,
    request: Request,
    response: Response,
    key: IdempotencyKey = None,
) -> PostView:
    """Create a post, and answer when it is there."""
    command = CreatePost(user_id=user_id, **new.model_dump(exclude_unset=True))
    post = await write(producer, command, key)
    response.headers["Location"] = str(request.url_for("get_post", post_id=post.id))
    return post


@app.patch("/users/{user_id}", responses=LATE)
async def update_user(
    user_id: UUID, changes: UserFields, producer: ProducerDep, key: IdempotencyKey = None
) -> UserView:
    """Write only what was set; null is written as null."""
    if not changes.model_fields_set:
        raise CommandRejected("nothing to change", code="empty")
    command = UpdateUser(id=user_id, must_exist=True, **changes.model_dump(exclude_unset=True))
    return found(await write(producer, command, key))


@app.delete("/users/{user_id}", status_code=status.HTTP_204_NO_CONTENT, responses=LATE)
async def delete_user(user_id: UUID, producer: ProducerDep, key: IdempotencyKey = None) -> None:
    """Delete a user and all that belongs to it; 404 where there was none."""
    if not await write(producer, DeleteUser(id=user_id), key):
        raise CommandRejected("there was no such user", code="not_found")


@app.get("/users")
async def list_users(
    producer: ProducerDep,
    skip: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Page[UserView]:
    """Read a page of users, the first to come first."""
    return await read(producer, ListUsers(order_by=["created_at"], offset=skip, limit=limit))


@app.get("/users/{user_id}")
async def get_user(user_id: UUID, producer: ProducerDep) -> UserView:
    """Read a user."""
    return found(await read(producer, GetUser(id=user_id)))


@app.get("/posts/{post_id}")
async def get_post(post_id: UUID, producer: ProducerDep) -> PostView:
    """Read a post with its author."""
    return found(await read(producer, GetPost(id=post_id, include=["author"])))


async def write(producer: Producer, command: Command[R], key: str | None) -> R:
    """Send a write and wait for its result."""
    receipt = await producer.send(command, command_id=key)
    return await receipt.result(timeout=PATIENCE)


async def read(producer: Producer, query: Command[R]) -> R:
    """Send a read and wait for its result; what nobody waits for any more is not begun."""
    receipt = await producer.send(query, deadline=PATIENCE)
    return await receipt.result(timeout=PATIENCE)


def found(row: T | None) -> T:
    """Return what was read; where nothing was, it ends as every other error does."""
    if row is None:
        raise CommandRejected("there is no such thing", code="not_found")
    return row


# Errors, in one place.


@app.exception_handler(CommandError)
async def explain(request: Request, error: CommandError) -> JSONResponse:
    """Answer an error of ours with the status that says the same."""
    if isinstance(error, ResultTimeout) and error.command_id and request.method != "GET":
        # The write was accepted and goes on. A 504 would say that it failed, and invite another.
        accepted = Accepted(command_id=error.command_id)
        headers = {"Location": str(request.url_for("look_up", command_id=error.command_id))}
        return JSONResponse(jsonable_encoder(accepted), status.HTTP_202_ACCEPTED, headers)
    code = status_of(error)
    headers = {"Retry-After": "5"} if code == status.HTTP_503_SERVICE_UNAVAILABLE else {}
    return JSONResponse(jsonable_encoder(problem(error)), code, headers)


@app.exception_handler(RequestValidationError)
async def explain_input(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Say where the input is wrong, and not what it was: FastAPI would send a password back."""
    detail = [{name: flaw[name] for name in ("loc", "msg", "type")} for flaw in error.errors()]
    return JSONResponse({"detail": detail}, status.HTTP_422_UNPROCESSABLE_CONTENT)


def status_of(error: CommandError) -> int:
    """Choose the status of an error."""
    match error:
        case CommandRejected(code="not_found") | ResultExpired():
            return status.HTTP_404_NOT_FOUND
        case CommandRejected(code="unique_violation") | CommandConflict():
            return status.HTTP_409_CONFLICT
        case CommandRejected(code="expired") | ResultTimeout():  # a read that no worker began in time
            return status.HTTP_504_GATEWAY_TIMEOUT
        case CommandRejected():
            return status.HTTP_422_UNPROCESSABLE_CONTENT
        case PayloadTooLarge():
            return status.HTTP_413_CONTENT_TOO_LARGE
        case _:  # QueueFull, QueueUnavailable, CommandDead, CommandParked: try again later
            return status.HTTP_503_SERVICE_UNAVAILABLE


def problem(error: CommandError) -> Problem:
    """Tell an error as JSON."""
    return Problem(detail=str(error), code=error.code, field=error.field, command_id=error.command_id)
