"""Secrets, key providers and rotation. Built in its own issue."""
