r"""A cron job: what is to happen once a day, however often cron starts it.

The id of a command says which day's it is. A job that cron starts twice, or two hosts start, or you start again
because it failed, sends the same command again, and it runs once. In the crontab (`crontab -e`), where a % is
written \%, and python has to be named by its path:

    REDIS_URL=redis://localhost:6379/0

    # Where nothing has to be computed, a line will do:
    5 0 * * * python -m producers send user.create --username "guest-$(date -u +\%F)" --command-id "nightly-$(date -u +\%F)" --wait

    # Where something has, this script:
    10 0 * * * python examples/cron.py

A day that was missed: `python examples/cron.py 2026-01-31`. It prints a line, which cron mails; the exit code is 1
where there is no thread.
"""  # noqa: E501  # a line of a crontab cannot be broken

import sys
from datetime import UTC, date, datetime, timedelta

from producers import BlockingProducer, CommandError
from producers.commands import CreatePost, CreateUser


def open_thread(day: date) -> str:
    """Open the thread of a day; say whether it was open already. Raises CommandError."""
    with BlockingProducer() as producer:
        # Created once; ever after, the answer is the one of the first time.
        moderator = producer.send(CreateUser(username="moderator"), command_id="cron/moderator")

        # All that is sent derives from the day: the same id with other content would be a conflict.
        thread = CreatePost(title=f"Thread of {day}", user_id=moderator.result(timeout=300).id)

        # Not opened late: where no worker was there all day, tomorrow has a thread of its own.
        receipt = producer.send(thread, command_id=f"cron/thread/{day}", deadline=timedelta(hours=23))
        receipt.result(timeout=300)
        return f"{thread.title}: {receipt.status}"


def main() -> None:
    """Take the day from the command line, or today's."""
    # In UTC, so that neither the host's time zone nor a change to summer time makes another day of it.
    day = date.fromisoformat(sys.argv[1]) if sys.argv[1:] else datetime.now(UTC).date()
    try:
        print(open_thread(day))
    except CommandError as error:
        sys.exit(f"no thread for {day}: {error.code}: {error}")


if __name__ == "__main__":
    main()
