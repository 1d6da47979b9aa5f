"""Parts of a configuration by patterns (``key=settings.**``), as the server narrows its answers."""

from collections.abc import Sequence
from typing import Any

from configsvc_client.keys import Path, Pattern


def select(tree: Any, patterns: Sequence[Pattern]) -> Any:
    """What the patterns cover, with the objects and lists around it; the rest is left out."""
    found, kept = _select(tree, patterns, ())
    return kept if found else {}


def _select(tree: Any, patterns: Sequence[Pattern], path: Path) -> tuple[bool, Any]:
    if any(pattern.covers(path) for pattern in patterns):
        return True, tree
    if not isinstance(tree, (dict, list)):
        return False, None
    kept = []
    for step, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
        found, part = _select(child, patterns, (*path, step))
        if found:
            kept.append((step, part))
    return bool(kept), dict(kept) if isinstance(tree, dict) else [part for _step, part in kept]
