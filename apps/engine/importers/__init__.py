"""Reading what other configuration systems keep or export, each by a module of its own.

Every module has ``read(files, places) -> Reading``: files by their relative path with ``/``. Nothing is
written as a reference that was none: ``${`` becomes ``$${``.
"""
