"""Archives of the whole installation: create, verify, restore, schedules. Built in its own issue."""
