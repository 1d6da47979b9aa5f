"""What can go wrong between a configuration and a process."""


class RenderError(Exception):
    """A configuration that cannot be written as asked; says which keys and why."""


class WriteError(RenderError):
    """A file that the disk refuses: it may take it later."""


class UsageError(Exception):
    """The command was given something that it cannot do; says what to give instead."""
