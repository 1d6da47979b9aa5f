"""Hypothesis strategies for documents, shared by the engine's tests."""

from hypothesis import strategies as st

from apps.engine import values

STORABLE = st.characters(exclude_categories=("Cs",), exclude_characters="\x00")
keys = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x7f"), max_size=8
) | st.sampled_from(["a", "b", "item", "@type", "#text", "@id", "_", "config", "$remove", "a.b"])
texts = st.text(STORABLE, max_size=12) | st.sampled_from(
    ["no", "012", "1:30", "0o14", "2026-11-24", "~", "", " x ", "a\nb\n", "${x}", "$${", "'", '"']
)
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
literals = st.sampled_from(["1.10", "1e3", "2.50", "-0.0", "1E+3"]).map(values.number)
scalars = st.booleans() | integers | floats | literals | texts
nullable = st.none() | scalars


def trees(leaf=nullable, key=keys):
    """Documents: objects at the top, anything inside."""
    inner = st.recursive(
        leaf,
        lambda children: (
            st.lists(children, max_size=4) | st.dictionaries(key, children, max_size=4)
        ),
        max_leaves=12,
    )
    return st.dictionaries(key, inner, max_size=5)


_few_keys = st.sampled_from(["a", "b", "c", "a.b", "hosts", "$id"])
_any_keys = _few_keys | st.sampled_from(["$remove", "$literal", "$append", "$secret"])
_few_texts = st.sampled_from(["", "x", "$${", "$$${y}"])
_few_scalars = (
    st.none()
    | st.booleans()
    | st.integers(0, 2)
    | st.sampled_from([1.0, *map(values.number, ("1.10", "2.50"))])
)
plain = st.recursive(
    _few_scalars | _few_texts | st.just("${x}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_any_keys, inner, max_size=3),
    max_leaves=6,
)
"""Data that looks like composition syntax."""


def _written(inner):
    items = st.fixed_dictionaries(
        {"name": st.sampled_from("pqrs")}, optional={"v": inner, "$remove": st.just(True)}
    )
    return (
        st.lists(inner, max_size=3)
        | st.lists(items, max_size=4)
        | st.dictionaries(_few_keys, inner, max_size=4)
        | st.builds(lambda value: {"$replace": value}, inner)
        | st.builds(lambda value: {"$append": value}, st.lists(inner, max_size=2))
        | st.builds(lambda value: {"$prepend": value}, st.lists(inner, max_size=2))
        | st.builds(lambda value: {"$literal": value}, plain)
        | st.just({"$remove": True})
    )


sources = st.dictionaries(
    _few_keys, st.recursive(_few_scalars | _few_texts, _written, max_leaves=10), max_size=5
)
"""Documents with markers, most of them valid."""


@st.composite
def edits(draw, tree):
    """A document like ``tree`` with some of it changed, removed or added."""
    if isinstance(tree, dict):
        kept = {key: child for key, child in tree.items() if draw(st.integers(0, 5))}
        changed = [key for key in kept if not draw(st.integers(0, 3))]
        added = draw(st.dictionaries(_any_keys, plain, max_size=1))
        return {**kept, **{key: draw(edits(kept[key])) for key in changed}, **added}
    if isinstance(tree, list) and tree and draw(st.booleans()):
        kept = [item for item in tree if draw(st.integers(0, 3))]
        changed = [item if draw(st.integers(0, 3)) else draw(edits(item)) for item in kept]
        return changed + draw(st.lists(plain, max_size=1))
    return draw(plain)
