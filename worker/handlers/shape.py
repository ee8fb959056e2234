"""Which columns and relations of a model a view shows, and how a row becomes the view."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import inspect
from sqlalchemy.orm import load_only, selectinload
from sqlalchemy.sql.base import ExecutableOption

from producers.commands import View
from producers.commands.schema import views_in

from ..models import Base

V = TypeVar("V", bound=View)


class Shape(Generic[V]):
    """A model seen through a view: what the view does not show is not read either."""

    def __init__(self, model: type[Base], view: type[V]) -> None:
        relations = inspect(model).relationships
        self._view = view
        self._model = model
        self.columns = _columns(model, view)
        self._relations = {
            name: Relation(model, name, _view_in(field.annotation))
            for name, field in view.model_fields.items()
            if name in relations
        }

    def of_row(self, row: Iterable[Any]) -> V:
        """Make the view of a row that begins with the values of `columns`, in their order."""
        return self._view.model_validate(dict(zip(self.columns, row, strict=False)))

    def of_object(self, row: Base, include: Sequence[str]) -> V:
        """Make the view of an object whose relations `include` are loaded; the others stay unset."""
        values = _values(row, self.columns)
        for name in include:
            values[name] = self._relations[name].of(getattr(row, name))
        return self._view.model_validate(values)

    def loading(self, include: Sequence[str]) -> list[ExecutableOption]:
        """Load the columns, and the relations `include` by one more SELECT each."""
        columns = load_only(*(getattr(self._model, name) for name in self.columns))
        return [columns, *(self._relations[name].loading for name in include)]


class Relation:
    """A relation seen through the view that stands for its rows: columns only, no relations of their own."""

    def __init__(self, model: type[Base], name: str, view: type[View]) -> None:
        target = inspect(model).relationships[name].mapper
        self._columns = _columns(target.class_, view)
        self._key: Callable[[Any], Any] = attrgetter(*(str(column.key) for column in target.primary_key))
        self.loading = selectinload(getattr(model, name)).load_only(
            *(getattr(target.class_, column) for column in self._columns)
        )

    def of(self, related: Any) -> Any:
        """Take the values of the related rows, in the order of their key; of the one row; or None."""
        if isinstance(related, list):
            return [_values(row, self._columns) for row in sorted(related, key=self._key)]
        return None if related is None else _values(related, self._columns)


def _columns(model: type[Base], view: type[View]) -> tuple[str, ...]:
    known = inspect(model).column_attrs
    return tuple(name for name in view.model_fields if name in known)


def _values(row: Base, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _view_in(annotation: Any) -> type[View]:
    """Find PostView in `tuple[PostView, ...] | None`."""
    found = views_in(annotation)
    if len(found) != 1:
        raise TypeError(f"a relation is shown by one view, not by {annotation}")
    return found[0]
