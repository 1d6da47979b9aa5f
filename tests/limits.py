"""Bounds that tests hold hostile input against, and how long they look for more of it."""

import pytest

# Promise 12 in CPU seconds of a slow, shared machine. What is not linear here takes minutes.
CPU_SECONDS = 5


def examples(count):
    """How many inputs Hypothesis makes up: ``count`` in the long form, a part of them in others."""
    return count if pytest.long_form else max(count // 6, 40)
