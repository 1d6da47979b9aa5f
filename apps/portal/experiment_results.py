"""What an experiment found, as its pages say it: in words, in numbers, and in pictures."""

from typing import Any, Final

from apps.engine.experiments import always_valid, fixed_horizon
from apps.engine.experiments.inference import Inference, Lack
from apps.engine.experiments.statistics import Comparison
from apps.engine.experiments.verdicts import Verdict, judge
from apps.engine.values import parse_canonical
from apps.portal.charts import Estimate, draw_days, draw_forest
from apps.portal.figures import counted, lift_of, mean, number, p_value, signed_percent
from apps.rollouts.models import Experiment
from apps.rollouts.planning import POWER, Need, find_needs
from apps.rollouts.results import Results, Standing

UNRELIABLE: Final = "unreliable"
DOUBTFUL: Final = "doubtful"
BADGES: Final = {
    Verdict.BETTER: "better",
    Verdict.WORSE: "worse",
    Verdict.UNCLEAR: "no difference seen",
    DOUBTFUL: "not certain",
    Verdict.UNKNOWN: "not known yet",
    UNRELIABLE: "not to be believed",
}
MANY_MIXED: Final = 100
"""One mixed unit in so many is too many to say nothing of it."""
EFFECT: Final = 5.0
MOST_EFFECT: Final = 1000.0


def ended_as_planned(row: Experiment) -> bool:
    """Whether it ended when it was to end since before it began, so that nobody's looking decided
    when.
    """
    ends = row.ends_at
    if row.stopped_at is None or ends is None or row.planned_end != ends:
        return False
    return row.stopped_at >= ends


def looks_once(row: Experiment) -> bool:
    """Whether the numbers for one look at the end are shown, instead of those for many looks."""
    return row.state == Experiment.STOPPED


def shown_by(row: Experiment, each: Comparison) -> Inference:
    """The numbers that are shown of a comparison."""
    return each.fixed_horizon if looks_once(row) else each.always_valid


def verdict_of(row: Experiment, each: Comparison, goal: str, *, mismatch: bool) -> str:
    """What may be claimed: one that did not end as planned has to hold at every look too, for
    somebody may have looked.
    """
    said = [shown_by(row, each)]
    if looks_once(row) and not ended_as_planned(row):
        said.append(each.always_valid)
    found = judge(said, increases=goal == "increase", alpha=row.alpha)
    if found == Verdict.UNCLEAR and _leaves_zero_out(said[0]):
        return DOUBTFUL
    claims = found in (Verdict.BETTER, Verdict.WORSE)
    return UNRELIABLE if mismatch and claims else found


def _leaves_zero_out(said: Inference) -> bool:
    return said.absolute is not None and (said.absolute.low > 0 or said.absolute.high < 0)


def results_of(row: Experiment, found: Results, asked: dict[str, str]) -> dict[str, Any]:
    """The results for the page of one experiment."""
    metrics = [
        _metric(row, found, metric, index)
        for index, metric in enumerate(parse_canonical(row.metrics))
    ]
    names = [each.name for each in row.variants.all()]
    return {
        "found": found,
        "total": sum(found.units.values()),
        "metrics": metrics,
        "headlines": [each["said"] for each in metrics[0]["rows"]] if metrics else [],
        "split_p": p_value(found.sample_ratio.p_value),
        "many_mixed": found.mixed * MANY_MIXED > sum(found.units.values()),
        "timeline": draw_days(found.days, names),
        "looks_once": looks_once(row),
        "as_planned": ended_as_planned(row),
        "confidence": number(100 * (1 - row.alpha)),
        "alpha": number(100 * row.alpha),
        "family": len(found.comparisons),
        "needs": _needs(row, found, asked) if metrics else None,
    }


def _metric(row: Experiment, found: Results, metric: dict[str, str], index: int) -> dict[str, Any]:
    sample = found.metrics[index]
    is_rate = metric["kind"] == "conversion"
    mine = [each for each in found.comparisons if each.metric == metric["name"]]
    rows = [_row(row, found, metric, each) for each in mine]
    plot = draw_forest([each["estimate"] for each in rows if each["estimate"]])
    return {
        **metric,
        "is_primary": index == 0,
        "is_rate": is_rate,
        "control": {
            "name": next(iter(found.units)),
            "mean": mean(sample.control.mean, is_rate=is_rate),
            "of": counted(sample.control),
        },
        "rows": rows,
        "plot": plot,
        "ticks": [{"x": each.x, "text": signed_percent(each.value)} for each in plot.ticks]
        if plot
        else [],
    }


def _row(
    row: Experiment, found: Results, metric: dict[str, str], each: Comparison
) -> dict[str, Any]:
    is_rate = metric["kind"] == "conversion"
    sample = next(one for one in found.metrics if one.name == each.metric)
    said = shown_by(row, each)
    verdict = verdict_of(row, each, metric["goal"], mismatch=found.sample_ratio.mismatch)
    lift, interval = lift_of(each, said, is_rate=is_rate)
    estimate = None
    if each.relative_lift is not None and said.relative is not None:
        low, high = said.relative
        estimate = Estimate(
            each.treatment, f"{lift} ({interval})", each.relative_lift, low, high, verdict
        )
    return {
        "name": each.treatment,
        "mean": mean(each.treatment_mean, is_rate=is_rate),
        "of": counted(sample.treatments[each.treatment]),
        "lift": lift,
        "interval": interval,
        "p_value": p_value(said.corrected_p_value) if said.absolute is not None else "",
        "verdict": verdict,
        "badge": BADGES[verdict],
        "said": sentence(row, each, metric, verdict, is_rate=is_rate),
        "estimate": estimate,
        "every_look": lift_of(each, each.always_valid, is_rate=is_rate)[1]
        if looks_once(row)
        else "",
    }


def sentence(
    row: Experiment, each: Comparison, metric: dict[str, str], verdict: str, *, is_rate: bool
) -> str:
    """A verdict in one sentence, which names no winner where none is known."""
    name, control = each.treatment, row.variants.all()[0].name
    lift, interval = lift_of(each, shown_by(row, each), is_rate=is_rate)
    by = f"by {metric['name']}"
    if verdict == UNRELIABLE:
        return f"{name} differs from {control} {by}, but the units are not split as intended."
    if verdict in (Verdict.BETTER, Verdict.WORSE):
        return f"{name} is {BADGES[Verdict(verdict)]} than {control} {by}: {lift} ({interval})."
    if verdict == DOUBTFUL:
        return (
            f"{name} seems to differ from {control} {by}: {lift} ({interval}); {_doubt(row, each)}"
        )
    if verdict == Verdict.UNKNOWN:
        return f"Nothing can be said of {name} {by} yet: {_lacking(row, each, is_rate=is_rate)}."
    seen = f"{lift} was measured, and the truth may be {interval}" if lift else "nothing is known"
    return f"No difference between {name} and {control} is known {by}: {seen}."


def _lacking(row: Experiment, each: Comparison, *, is_rate: bool) -> str:
    """Why nothing can be said: what is shown lacks it, or what has to hold besides."""
    said = shown_by(row, each)
    at_once = looks_once(row) and said.lacks is not None
    lacks = said.lacks or each.always_valid.lacks
    if lacks == Lack.SPREAD:
        return "its values are all the same, which does not tell how far chance may carry them"
    if at_once and is_rate:
        return "that takes units in each variant"
    if at_once:
        return (
            f"that takes at least {fixed_horizon.MINIMUM_VALUES} units with a value in each variant"
        )
    least = f"that takes at least {always_valid.MINIMUM_UNITS} units in each variant"
    if is_rate:
        return f"{least}, and some outcomes"
    return f"{least}, {always_valid.MINIMUM_VALUES} of them with a value"


def _doubt(row: Experiment, each: Comparison) -> str:
    """Why nothing is claimed although the interval leaves no difference out."""
    said = shown_by(row, each)
    if said.corrected_p_value >= row.alpha:
        p = p_value(said.corrected_p_value)
        return f"but one of so many comparisons does that by chance too easily (corrected p {p})."
    return "but only for one look that was decided beforehand: it does not hold at every look."


def standing_of(row: Experiment, found: Standing | None) -> dict[str, Any] | None:
    """What a list says of the first metric, by the treatment of which most is known."""
    metrics = parse_canonical(row.metrics)
    if found is None or not found.comparisons:
        return None
    metric = metrics[0]
    judged = [
        (verdict_of(row, each, metric["goal"], mismatch=found.mismatch), each)
        for each in found.comparisons
    ]
    order = [Verdict.BETTER, UNRELIABLE, DOUBTFUL, Verdict.WORSE, Verdict.UNCLEAR, Verdict.UNKNOWN]
    verdict, each = min(judged, key=lambda one: order.index(one[0]))
    lift, interval = lift_of(each, shown_by(row, each), is_rate=metric["kind"] == "conversion")
    return {
        "metric": metric["name"],
        "variant": each.treatment,
        "verdict": verdict,
        "badge": BADGES[verdict],
        "lift": lift,
        "interval": interval,
    }


def _needs(row: Experiment, found: Results, asked: dict[str, str]) -> dict[str, Any]:
    """How many more units it takes to find an effect, and how long that is at the pace so far."""
    metrics = [each["name"] for each in parse_canonical(row.metrics)]
    metric = asked.get("metric", "") if asked.get("metric", "") in metrics else metrics[0]
    effect = _effect(asked.get("effect", ""))
    needs = find_needs(experiment=row, found=found, metric=metric, effect=effect / 100)
    is_rate = parse_canonical(row.metrics)[metrics.index(metric)]["kind"] == "conversion"
    a_day = sum(found.units.values()) / max(1, len(found.days))
    return {
        "metric": metric,
        "names": metrics,
        "effect": f"{effect:g}",
        "power": number(100 * POWER),
        "rows": None if needs is None else [_need(each, a_day, is_rate=is_rate) for each in needs],
    }


def _effect(text: str) -> float:
    try:
        effect = float(text or EFFECT)
    except ValueError:
        return EFFECT
    return effect if 0 < abs(effect) <= MOST_EFFECT else EFFECT


def _need(each: Need, a_day: float, *, is_rate: bool) -> dict[str, Any]:
    return {
        "name": each.treatment,
        "baseline": mean(each.baseline, is_rate=is_rate),
        "wanted": mean(each.wanted, is_rate=is_rate),
        "required": each.required,
        "more": each.more,
        "days": max(1, round(each.more / a_day)) if each.more and a_day else 0,
    }
