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
