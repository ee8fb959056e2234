"""The migrations of the worker's own tables, and of nothing else."""
