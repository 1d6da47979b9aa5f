"""The one clock. A service takes ``now`` once, so that one act has one time."""

from datetime import datetime, timedelta

from django.utils import timezone

MINUTE = timedelta(minutes=1)


def now() -> datetime:
    """The present time, aware, in UTC."""
    return timezone.now()


def rfc3339(moment: datetime) -> str:
    """``moment`` (aware, UTC) in RFC 3339 with six decimals and ``Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
