"""The shop's App."""

from typing import get_args

from worker.app import App

from .commands import ShopCommand
from .models import Base
from .worker.handlers import handle

app = App(handlers=dict.fromkeys(get_args(ShopCommand), handle), metadata=Base.metadata)
WorkerSettings = app.worker_settings  # only for the `arq` command
