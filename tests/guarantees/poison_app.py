"""A service of that domain, for processes of its own: its leases are short, so that a test can wait."""

from tests.guarantees.counters import Bump, bump
from tests.guarantees.poison import CrashSession, Poison, crash_session, exit_now
from worker.app import App
from worker.engine import worker

worker._LEASE, worker._RENEWED_EVERY = 1.0, 0.3

app = App({Bump: bump, Poison: exit_now, CrashSession: crash_session})
