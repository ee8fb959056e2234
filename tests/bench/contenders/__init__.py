"""The contenders, one file each; `apart` are those in an environment of their own (apart.txt)."""

NAMES = (
    "arq",
    "arq_tuned",
    "saq",
    "taskiq",
    "pgqueuer",
    "procrastinate",
    "dramatiq",
    "celery",
    "ours",
)
APART = {"taskiq", "celery"}
