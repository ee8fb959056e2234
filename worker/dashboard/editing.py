"""A payload as a form, one input for each field; and the way back, with the model's errors at them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from producers.commands import UnreadableCommand
from producers.commands.hiding import restored
from producers.commands.registry import problems
from producers.fields import Field, Fields

from .masking import shown_payload

if TYPE_CHECKING:
    from producers.commands import Command, Registry

UNSET = ""


@dataclass
class Input:
    """One field: the text that is shown, and what is wrong with it."""

    about: Field
    text: str = UNSET
    error: str = ""
    shown: Any = None

    @property
    def is_long(self) -> bool:
        """Whether it takes more than a line."""
        return not self.about.is_text or len(self.text) > 60  # noqa: PLR2004


@dataclass
class Form:
    """The payload of one failed command, to be mended; `error` is what is wrong with the whole."""

    inputs: list[Input] = field(default_factory=list)
    error: str = ""
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    _command: type[Command[Any]] | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the model takes it."""
        return not self.error and not any(entry.error for entry in self.inputs)


def form_of(registry: Registry, kind: str, version: int, payload: dict[str, Any]) -> Form:
    """Make the form of a payload, lifted to the version of today; personal values are hidden in it."""
    try:
        command, lifted = registry.lifted(kind, version, payload)
    except UnreadableCommand as error:
        return Form(error=f"it cannot be edited here: {error}")
    shown = shown_payload(registry, kind, lifted)
    inputs = [
        Input(about, _text(shown.get(name)), shown=shown.get(name))
        for name, about in Fields(command, registry).items()
    ]
    unknown = sorted(lifted.keys() - command.model_fields.keys())
    told = f"{kind} does not know these fields, and an edit leaves them out: {', '.join(unknown)}"
    return Form(inputs, told if unknown else "", lifted, command)


def edited(registry: Registry, form: Form, given: Mapping[str, str]) -> tuple[Form, dict[str, Any] | None]:
    """Apply what a person wrote: return the form as it is then, and the payload if it was changed.

    Text that was not touched means the value as it was; text that was emptied means null.
    """
    if form._command is None:  # noqa: SLF001  # ours
        return form, None
    payload = {name: value for name, value in form.payload.items() if name in form._command.model_fields}  # noqa: SLF001
    changed = len(payload) != len(form.payload)
    inputs = []
    for before in form.inputs:
        name, text = before.about.name, given.get(before.about.name, before.text)
        text = text.replace("\r\n", "\n")
        entry = Input(before.about, text, shown=before.shown)
        if text != before.text:
            changed = True
            try:
                payload[name] = restored(_value(before.about, text), before.shown, form.payload.get(name))
            except ValueError as error:
                entry.error = str(error)
        inputs.append(entry)
    after = Form(inputs, "", payload, form._command)  # noqa: SLF001
    if after.is_valid:
        _validate(registry, after)
    return after, payload if changed else None


def _value(about: Field, text: str) -> Any:
    return None if text.strip() == "" else about.parse(text)


def _text(value: Any) -> str:
    if value is None:
        return UNSET
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _validate(registry: Registry, form: Form) -> None:
    """Have the model look at it; each problem is told at its field, without the value."""
    command = form._command  # noqa: SLF001
    by_name = {entry.about.name: entry for entry in form.inputs}
    if command is None:
        return
    try:
        command.revive(form.payload, registry)
    except UnreadableCommand as error:
        form.error = str(error)
    except ValidationError as error:
        for where, what in problems(error, command):
            name, *inside = where or [""]
            told = f"{'.'.join(inside)}: {what}" if inside else what
            if (entry := by_name.get(name)) is not None:
                entry.error = f"{entry.error}; {told}" if entry.error else told
            else:
                form.error = f"{name}: {told}" if name else told
