import datetime

import pytest

from apps.engine.errors import InvalidError
from apps.engine.retention import Retention

NOON = datetime.datetime(2026, 11, 27, 12, 30, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


def kept(text, *ages):
    """The ages, in hours, that are kept."""
    times = [NOON - HOUR * age for age in ages]
    return sorted(ages[place] for place in Retention.parse(text).kept(times))


def test_kept__by_hours__is_the_newest_of_each():
    assert kept("3h", 0, 0.1, 1, 1.4, 2, 3, 30) == [0, 1, 2]


def test_kept__by_days_and_weeks_and_months__are_the_newest_of_each():
    day = 24
    ages = [0, 5, day, day + 2, 2 * day, 8 * day, 15 * day, 40 * day, 70 * day]

    assert kept("2d", *ages) == [0, day]
    assert kept("2w", *ages) == [0, 8 * day]
    assert kept("3m", *ages) == [0, 40 * day, 70 * day]
    assert kept("1h 2d 2w 3m", *ages) == [0, day, 8 * day, 40 * day, 70 * day]


def test_kept__when_nothing_is_new__counts_those_with_a_backup():
    assert kept("2d", 1_000, 2_000, 3_000) == [1_000, 2_000]
    assert kept("1h") == []


@pytest.mark.parametrize("text", ["", "0h", "5x", "h5", "5 h", "-1d", "99999h"])
def test_parse__what_is_no_retention__is_refused(text):
    with pytest.raises(InvalidError):
        Retention.parse(text)
