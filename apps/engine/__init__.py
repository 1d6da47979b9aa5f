"""Pure domain logic: formats, composing, diff, validation, hash chain.

Nothing here knows Django, a clock, a random source or a key: whatever varies is an argument,
so the same input gives the same bytes on every node, and tests need no database.
"""
