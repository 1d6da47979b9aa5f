"""Small directed graphs as text: Mermaid (mermaid.js.org) and DOT, the language of Graphviz."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A thing with a name that no other has."""

    name: str


@dataclass(frozen=True, slots=True)
class Edge:
    """From what is taken to what is made of it, and how."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, in order, and edges between them."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]


def mermaid(graph: Graph) -> str:
    """A flow chart from left to right."""
    ids = {node.name: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [f'  {ids[node.name]}["{_entities(node.name)}"]' for node in graph.nodes]
    for edge in graph.edges:
        label = f'|"{_entities(edge.label)}"|' if edge.label else ""
        lines.append(f"  {ids[edge.source]} -->{label} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def dot(graph: Graph) -> str:
    """A digraph, laid from left to right."""
    lines = ["digraph configurations {", "  rankdir=LR;", "  node [shape=box];"]
    lines += [f"  {_quoted(node.name)};" for node in graph.nodes]
    for edge in graph.edges:
        label = f" [label={_quoted(edge.label)}]" if edge.label else ""
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def _entities(text: str) -> str:
    """Text inside quotes of Mermaid, where ``#`` begins an entity."""
    special = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}
    return "".join(special.get(each, each) for each in text).replace("\n", " ")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
