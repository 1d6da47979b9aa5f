"""Kubernetes-style quantities and spans of time: exact, ordered as the numbers they are."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine import values
from apps.engine.durations import find_duration
from apps.engine.quantities import LARGEST, NANO, Quantity, find_quantity

FACTORS = {
    **{name: Fraction(10) ** power for name, power in zip("num", (-9, -6, -3), strict=True)},
    "": Fraction(1),
    **{name: Fraction(10) ** (3 * at) for at, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": Fraction(1024) ** at for at, name in enumerate("KMGTPE", 1)},
    **{f"e{power}": Fraction(10) ** power for power in range(-9, 18)},
}


@st.composite
def written(draw):
    """A quantity as text, and what it is."""
    digits = draw(st.integers(0, 10**6))
    places = draw(st.integers(0, 3))
    sign, suffix = draw(st.sampled_from(["", "+", "-"])), draw(st.sampled_from(sorted(FACTORS)))
    number = f"{digits // 10**places}" + (f".{digits % 10**places:0{places}d}" if places else "")
    value = Fraction(digits, 10**places) * FACTORS[suffix] * (-1 if sign == "-" else 1)
    return f"{sign}{number}{suffix}", value


@given(written(), written())
def test_find_quantity__any_two__are_ordered_as_their_numbers(left, right):
    (first, second), (one, two) = zip(left, right, strict=True)
    found = [find_quantity(first), find_quantity(second)]

    for quantity, exact in zip(found, (one, two), strict=True):
        fits = abs(exact) <= LARGEST and (exact * NANO).denominator == 1
        assert (quantity is not None) == fits
        assert quantity is None or Fraction(quantity.nanos, NANO) == exact
    if None not in found:
        assert (found[0] < found[1], found[0] == found[1]) == (one < two, one == two)


@given(st.integers(-LARGEST * NANO, LARGEST * NANO), st.booleans())
def test_quantity__as_text__reads_as_itself(nanos, binary):
    quantity = Quantity(nanos, binary)

    assert find_quantity(str(quantity)) == quantity
    assert Fraction(quantity.plain) == Fraction(nanos, NANO)


@pytest.mark.parametrize(
    ("text", "canonical", "plain"),
    [
        ("250m", "250m", "0.25"),
        ("1.5", "1500m", "1.5"),
        ("1.5Gi", "1536Mi", "1610612736"),
        ("2e3", "2k", "2000"),
        ("1E", "1E", "1000000000000000000"),
        ("1E3", "1k", "1000"),
        ("1Ei", "1Ei", "1152921504606846976"),
        ("0.5Ki", "512", "512"),
        (".5", "500m", "0.5"),
        ("5.", "5", "5"),
        ("-1", "-1", "-1"),
        ("0Ki", "0", "0"),
        ("1n", "1n", "0.000000001"),
        (2, "2", "2"),
        (0.5, "500m", "0.5"),
        (values.number("1.10"), "1100m", "1.1"),
    ],
)
def test_find_quantity__as_documented__has_its_canonical_form(text, canonical, plain):
    quantity = find_quantity(text)

    assert (str(quantity), quantity.plain) == (canonical, plain)


@pytest.mark.parametrize(
    "value",
    ["", "m", "1 Gi", "1gi", "1KI", "1e", "1e+", "1ee3", "--1", "1.2.3", "0x10", "٣", "1e99", "NaN"]
    + ["9223372036854775808", "8Ei", "0.1n", "1" * 65, 10**40, True, None, [], {}]
    + [values.number("1e-999999999"), values.number("1.0e300")],
)
def test_find_quantity__something_else__is_none(value):
    assert find_quantity(value) is None


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("300ms", 300 * 10**6),
        ("1h30m", 5_400 * 10**9),
        ("1.5s", 1_500 * 10**6),
        (".5us", 500),
        ("1µs1μs", 2_000),
        ("2d", 172_800 * 10**9),
        ("0", 0),
    ],
)
def test_find_duration__as_go_has_it__is_nanoseconds(text, nanos):
    assert find_duration(text) == nanos


@pytest.mark.parametrize(
    "text", ["", "5", "1h 3m", "h", "-1s", "1x", "0.1ns", "999999d", "1s" * 33, "s1", "1s!"]
)
def test_find_duration__something_else__is_none(text):
    assert find_duration(text) is None
