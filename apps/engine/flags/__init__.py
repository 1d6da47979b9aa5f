"""Evaluating feature flags: pure functions of definitions, context and time."""
