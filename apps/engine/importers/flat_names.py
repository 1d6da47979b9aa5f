"""Files that are named after an application and an environment, as several systems export them."""

from collections.abc import Iterable

from apps.engine import formats
from apps.engine.importers.reading import Document, as_data, format_of, layered, nested, parsed
from apps.engine.values import Tree


def tree_of(path: str, content: bytes) -> Tree:
    """The object in a file; keys of ``.properties`` are nested by their dots."""
    if format_of(path) == "properties":
        return nested(formats.parse(content, "properties").tree, ".")
    return parsed(path, content)


def joined(parts: Iterable[tuple[str, str, str, Tree]]) -> list[Document]:
    """Parts (service, environment, file, tree) of the same configuration laid over each other, in
    their order.
    """
    held: dict[tuple[str, str], list[tuple[str, Tree]]] = {}
    for service, environment, file, tree in parts:
        held.setdefault((service, environment), []).append((file, tree))
    return [
        Document(
            service,
            environment,
            as_data(layered(tree for _file, tree in found)),
            tuple(dict.fromkeys(file for file, _tree in found)),
        )
        for (service, environment), found in sorted(held.items())
    ]
