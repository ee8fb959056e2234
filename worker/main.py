"""The example's App: `python -m worker` runs it, and `arq worker.main.WorkerSettings` does as well."""

from __future__ import annotations

from .app import App
from .handlers import HANDLERS
from .models import Base
from .models.migrations import EXAMPLE

app = App(handlers=HANDLERS, migrations=[EXAMPLE], metadata=Base.metadata)


def __getattr__(name: str) -> type:
    if name == "WorkerSettings":  # made when asked for: it reads the environment
        return app.worker_settings
    raise AttributeError(name)
