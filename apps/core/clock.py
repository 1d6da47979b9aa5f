"""The one clock. A service takes ``now`` once, so that one act has one time."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

MINUTE = timedelta(minutes=1)


def now() -> datetime:
    """The present time, aware, in UTC."""
    return timezone.now()


def rfc3339(moment: datetime) -> str:
    """``moment`` (aware, UTC) in RFC 3339 with six decimals and ``Z``."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_rfc3339(text: str) -> datetime:
    """The moment that ``text`` names, in UTC. Raises :class:`ValueError`, without an offset too."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("A time needs its offset.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # in UTC it would be outside the years 1 to 9999
        raise ValueError("There is no such time.") from error
