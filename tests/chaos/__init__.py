"""Faults in real worker processes, at a load: `python -m tests.chaos`."""
