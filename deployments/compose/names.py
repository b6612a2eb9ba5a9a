"""Names that parts of the stack of containers agree on. Nothing else."""

WORKER_NAME = "aegis-worker"
"""The same for ever: by it the worker finds the runs that an earlier container left behind."""
