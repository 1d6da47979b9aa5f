"""The first rows of each group, in one statement."""

from collections.abc import Sequence
from typing import Any

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber


def first_of_each(
    rows: QuerySet[Any], *, by: Sequence[str], order: Sequence[str], after: int, until: int
) -> QuerySet[Any]:
    """Of the ``rows`` of each ``by`` those in the places ``after`` < n <= ``until`` of that order.

    They come group by group, each in its order; ``order`` must leave no two rows of a group alike.
    """
    place = Window(RowNumber(), partition_by=[F(name) for name in by], order_by=list(order))
    found: QuerySet[Any] = (
        rows.annotate(place_in_group=place)
        .filter(place_in_group__gt=after, place_in_group__lte=until)
        .order_by(*by, "place_in_group")
    )
    return found
