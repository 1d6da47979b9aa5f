"""Bounds that tests hold hostile input against."""

# Promise 12 in CPU seconds of a slow, shared machine. What is not linear here takes minutes.
CPU_SECONDS = 5
