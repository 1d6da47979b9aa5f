"""Numbers of experiments as people read them."""

import pytest

from apps.engine.experiments.aggregates import Interval
from apps.engine.experiments.inference import Inference
from apps.engine.experiments.statistics import Comparison
from apps.portal.figures import lift_of, number, signed_percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (4.8e-7, "4.8e-07"),
        (-0.0012, "-0.0012"),
        (0.012, "0.012"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (1e300, "1e+300"),
    ],
)
def test_number__of_any_size__has_the_digits_that_tell_something(value, text):
    assert number(value) == text


def test_lift__of_any_size__fits_into_its_place():
    assert signed_percent(1e111) == "+1e+113 %"
    assert signed_percent(-1e-9) == "0 %"


def test_lift__of_tiny_values_without_a_relative_interval__is_told_in_their_unit():
    said = Inference(Interval(-1.2e-9, 6.4e-8), None, 0.06)
    each = Comparison("wait", "b", 0.0, 3.2e-8, 3.2e-8, None, said, said)

    assert lift_of(each, said, is_rate=False) == ("+3.2e-08", "\N{MINUS SIGN}1.2e-09 to +6.4e-08")
