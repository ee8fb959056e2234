"""The same, with the shop's migrations in the worker's `migrate`."""

from pathlib import Path
from typing import get_args

from worker.app import App
from worker.migrate import Migrations

from .commands import ShopCommand
from .worker.handlers import handle

SHOP = Migrations(Path(__file__).parents[1] / "migrations", "alembic_version")
app = App(handlers=dict.fromkeys(get_args(ShopCommand), handle), migrations=[SHOP])
