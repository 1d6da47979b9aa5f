"""Which versions of a configuration touched a key, as far as their reader may know."""

import functools
import itertools
import json
from collections.abc import Iterator, Sequence

from django.db.models import QuerySet

from apps.configs.models import Version
from apps.configs.selectors.configurations import texts_around
from apps.engine import paths
from apps.engine.guarding import Guard
from apps.engine.paths import Glob
from apps.engine.values import parse_canonical

TOGETHER = 50
"""So many versions' documents are in memory at once."""


def sieved(rows: QuerySet[Version], glob: Glob) -> QuerySet[Version]:
    """``rows`` without most of those that touched nothing the glob covers: a first sieve."""
    for word in glob.words:
        if word.isascii() and word.isprintable() and not {'"', "\\"} & set(word):  # so in JSON too
            rows = rows.filter(keys__contains=word)
    return rows


def touching(rows: Sequence[tuple[int, int, str]], glob: Glob, names: Guard) -> Iterator[int]:
    """Of versions of one configuration, each its configuration, its number and its keys as stored,
    the numbers of those that touched what the glob covers, in their order. ``names`` says which
    keys the reader may know of.
    """
    is_asked = functools.cache(lambda key: glob.covers(paths.parse_path(key)))
    asked = (
        (number, [key for key in json.loads(keys) if is_asked(key)])
        for _configuration, number, keys in rows
    )
    allowed = ((number, names.allowed_keys(keys)) for number, keys in asked if keys)
    while group := list(itertools.islice(allowed, TOGETHER)):
        unsure = [number for number, keys in group if names.needs_documents(keys)]
        texts = texts_around(rows[0][0], unsure)
        parsed = functools.cache(parse_canonical)  # what one version is, the next one was
        for number, keys in group:
            if names.allowed_keys(keys, *map(parsed, texts.get(number, ()))):
                yield number
