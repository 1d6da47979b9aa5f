"""SELECT statements that the ORM writes once, for what every request asks.

Writing a statement takes the ORM longer than the database takes to answer it, above all a union.
"""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.models import QuerySet

SAMPLE = -1_000_003


class Statement:
    """A ``values_list`` query about one row key, which is all that changes from call to call.

    ``build`` gives the query for a key. Its columns are read as the driver gives them: whole
    numbers and text, nothing that the ORM would convert.
    """

    def __init__(self, build: Callable[[int], QuerySet[Any, Any]]) -> None:
        self._build = build
        self._written: dict[str, tuple[str, tuple[Any, ...]]] = {}

    def rows(self, key: int) -> list[tuple[Any, ...]]:
        """The rows for ``key``."""
        written = self._written.get(connection.vendor)
        if written is None:
            written = self._build(SAMPLE).query.sql_with_params()
            self._written[connection.vendor] = written
        sql, parameters = written
        with connection.cursor() as cursor:
            cursor.execute(sql, [key if each == SAMPLE else each for each in parameters])
            return cursor.fetchall()  # type: ignore[no-any-return]
