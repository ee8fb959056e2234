"""The same on an engine of the shop's own."""

import os
from typing import get_args

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from worker.app import App

from .commands import ShopCommand
from .worker.handlers import handle

engine = create_async_engine(os.environ["SHOP_DATABASE"], pool_size=2, max_overflow=1)
app = App(handlers=dict.fromkeys(get_args(ShopCommand), handle), sessions=async_sessionmaker(engine))
