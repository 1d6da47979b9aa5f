"""Graphs as text: what is escaped, and that every line is there."""

from apps.engine.graphs import Edge, Graph, Node, dot, mermaid

GRAPH = Graph(
    [Node("template base v3"), Node("shop@production"), Node('a "b" <c> #1 \\')],
    [
        Edge("template base v3", "shop@production", "template"),
        Edge("shop@production", 'a "b" <c> #1 \\'),
    ],
)


def test_mermaid__is_a_flow_chart_with_entities():
    assert mermaid(GRAPH).splitlines() == [
        "flowchart LR",
        '  n0["template base v3"]',
        '  n1["shop@production"]',
        '  n2["a #quot;b#quot; #lt;c#gt; #35;1 \\"]',
        '  n0 -->|"template"| n1',
        "  n1 --> n2",
    ]


def test_dot__is_a_digraph_with_quoted_names():
    assert dot(GRAPH).splitlines() == [
        "digraph configurations {",
        "  rankdir=LR;",
        "  node [shape=box];",
        '  "template base v3";',
        '  "shop@production";',
        '  "a \\"b\\" <c> #1 \\\\";',
        '  "template base v3" -> "shop@production" [label="template"];',
        '  "shop@production" -> "a \\"b\\" <c> #1 \\\\";',
        "}",
    ]
