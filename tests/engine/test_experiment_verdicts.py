"""What may be claimed of a comparison."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.experiments.aggregates import Interval
from apps.engine.experiments.inference import Inference, Lack, nothing_for
from apps.engine.experiments.verdicts import Verdict, judge


def said(low, high, corrected=0.001):
    return Inference(Interval(low, high), None, corrected, corrected)


@pytest.mark.parametrize(
    ("inferences", "increases", "verdict"),
    [
        ([said(0.01, 0.05)], True, Verdict.BETTER),
        ([said(0.01, 0.05)], False, Verdict.WORSE),
        ([said(-0.05, -0.01)], True, Verdict.WORSE),
        ([said(-0.05, -0.01)], False, Verdict.BETTER),
        ([said(-0.01, 0.05)], True, Verdict.UNCLEAR),
        ([said(0.0, 0.05)], True, Verdict.UNCLEAR),
        ([said(0.01, 0.05, corrected=0.05)], True, Verdict.UNCLEAR),
        ([said(0.01, 0.05), said(-0.01, 0.06)], True, Verdict.UNCLEAR),
        ([said(0.01, 0.05), said(0.001, 0.06)], True, Verdict.BETTER),
        ([said(0.01, 0.05), nothing_for(Lack.UNITS)], True, Verdict.UNKNOWN),
        ([nothing_for(Lack.UNITS)], True, Verdict.UNKNOWN),
    ],
)
def test_judge__of_inferences__claims_what_all_of_them_hold(inferences, increases, verdict):
    assert judge(inferences, increases=increases, alpha=0.05) == verdict


@given(low=st.floats(-1, 0), high=st.floats(0, 1), p_value=st.floats(0, 1), increases=st.booleans())
def test_judge__of_an_interval_that_holds_zero__never_claims(low, high, p_value, increases):
    found = judge([said(low, high, p_value)], increases=increases, alpha=0.05)

    assert found == Verdict.UNCLEAR
