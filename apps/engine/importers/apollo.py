"""What the portal of Apollo exports: ``OWNER/APP/ENV/APP+CLUSTER+NAMESPACE.properties`` in a ZIP archive,
or files of the last part of that name alone.

The namespace ``application`` is the document; others stand in it under their own names. The
cluster is ``default``; others are refused, because they are variants of the same application.
"""

from typing import Final

from apps.engine.errors import MalformedError, Problem
from apps.engine.importers.flat_names import joined, tree_of
from apps.engine.importers.reading import Files, Places, Reading, format_of, read_files
from apps.engine.values import Tree

CLUSTER: Final = "default"
NAMESPACE: Final = "application"


def read(files: Files, places: Places) -> Reading:
    """A document for each application in each environment."""
    reading = Reading()

    def take(path: str, content: bytes) -> tuple[str, str, Tree] | None:
        *folders, name = path.split("/")
        if format_of(name) is None or name.count("+") != 2:  # noqa: PLR2004 - the name's three parts
            return None
        application, cluster, namespace = name.rpartition(".")[0].split("+")
        if cluster != CLUSTER:
            message = f"It is of the cluster '{cluster[:100]}', and this run takes '{CLUSTER}'."
            raise MalformedError(message, [Problem("", "cluster", message)])
        environment = _environment(folders, places)
        tree = tree_of(name, content)
        return application, environment, tree if namespace == NAMESPACE else {namespace: tree}

    found = read_files(files, reading, take)
    reading.documents = joined((*where, path, tree) for path, (*where, tree) in found.items())
    return reading


def _environment(folders: list[str], places: Places) -> str:
    if not folders:
        return places.default
    found = places.find(folders[-1])
    if found is None:
        message = f"There is no environment for '{folders[-1][:100]}': map it to one."
        raise MalformedError(message, [Problem("", "environment", message)])
    return found
