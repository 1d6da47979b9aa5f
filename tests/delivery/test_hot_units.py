"""Units of experiments, several configurations, and many who ask the same, from memory."""

import asyncio
import itertools
import json

import pytest
from asgiref.sync import sync_to_async

from apps.rollouts import assigning
from apps.rollouts.models import Exposure
from tests.delivery.test_hot import (
    NAMES,
    _slow_machine,  # noqa: F401 - a fixture
    asked,
    at_once,
    bearer,
    publish,
    run,
    running,
    same,
    start_experiment,
    world,  # noqa: F401 - a fixture
)

pytestmark = pytest.mark.django_db(transaction=True)

HERE = "/config/shop"
BOTH = "/config?service=shop&service=cart"


@pytest.fixture
def reader(world):  # noqa: F811
    """A viewer's token, and an experiment that runs over the shop."""
    assigning.forget_known()
    start_experiment()
    yield bearer(world["viewer"])
    assigning.forget_known()


def unit(name):
    return ("x-config-unit", name)


async def units_by_variant(asgi, reader, count):
    """So many units of each variant, in the order of asking Django."""
    found = {"plain": [], "new": []}
    numbers = itertools.count()
    while any(len(units) < count for units in found.values()):
        name = f"u{next(numbers)}"
        answer = await asgi.get_from_django(HERE, [reader, unit(name)])
        found[json.loads(answer.body)["experiment"]["variant"]].append(name)
    return found


def test_unit__of_a_variant_that_was_given__is_answered_at_once_without_having_been_asked(reader):
    async def scenario(asgi, _feed):
        units = await units_by_variant(asgi, reader, 3)
        for first, *others in units.values():
            assert (await asked(asgi, HERE, reader, unit(first)))[1] == 1
            for each in (first, *others):
                headers = [reader, unit(each)]
                same(at_once(asgi.get(HERE, headers)), await asgi.get_from_django(HERE, headers))

    run(scenario)


@pytest.mark.parametrize("query", ["?unit={}", "?environment=production&unit={}&format=yaml"])
def test_unit__that_the_query_names__is_answered_as_the_one_in_the_header(reader, query):
    async def scenario(asgi, _feed):
        units = await units_by_variant(asgi, reader, 3)
        for first, *others in units.values():
            assert (await asked(asgi, HERE + query.format(first), reader))[1] == 1
            for each in (first, *others):
                address = HERE + query.format(each)
                same(
                    at_once(asgi.get(address, [reader])),
                    await asgi.get_from_django(address, [reader]),
                )
        [[of_plain, *_], [of_new, *_]] = units.values()
        both = HERE + query.format(of_new), [reader, unit(of_plain)]
        same(await asgi.get(*both), await asgi.get_from_django(*both))
        twice = f"{HERE}?unit={of_new}&unit={of_plain}", [reader]
        for _time in range(2):
            same(await asgi.get(*twice), await asgi.get_from_django(*twice))

    run(scenario)


def test_unit__served_from_memory__is_exposed_to_its_variant(reader):
    async def scenario(asgi, _feed):
        units = await units_by_variant(asgi, reader, 3)
        assigning.forget_known()  # what Django has noted
        for first, *_others in units.values():
            await asgi.get(HERE, [reader, unit(first)])
        assigning.forget_known()
        for name in itertools.chain.from_iterable(each[:3] for each in units.values()):
            at_once(asgi.get(HERE, [reader, unit(name)]))
        await sync_to_async(assigning.flush)()
        return units

    run(scenario)
    experiment = running()
    rows = Exposure.objects.filter(experiment=experiment).values_list("variant", flat=True)
    assert sorted(rows) == ["new"] * 3 + ["plain"] * 3


def test_experiment__stopped__is_over_for_each_unit(reader):
    from apps.rollouts.experiments import stop_experiment
    from tests.delivery.test_hot import SYSTEM

    async def scenario(asgi, _feed):
        units = await units_by_variant(asgi, reader, 1)
        headers = [reader, unit(units["new"][0])]
        before = await asgi.get(HERE, headers)
        assert b'"experiment"' in before.body
        at_once(asgi.get(HERE, headers))

        experiment = await sync_to_async(running)()
        await sync_to_async(stop_experiment)(actor=SYSTEM, experiment=experiment)

        after, times = await asked(asgi, HERE, *headers)
        assert times == 1
        assert b'"experiment"' not in after.body

    run(scenario)


def test_instance__decides_the_variant_where_the_audience_asks_for_it(world):  # noqa: F811
    from apps.rollouts import experiments
    from tests.delivery.test_hot import SYSTEM, place_of

    audience = {"instance": {"one_of": ["pod-1"]}}
    made = experiments.create_experiment(
        actor=SYSTEM,
        place=place_of("shop", "production"),
        name="of-one-pod",
        audience=audience,
        variants=[{"name": "plain"}, {"name": "new", "patch": {"a": 7}}],
    )
    experiments.start_experiment(actor=SYSTEM, experiment=made)
    reader = bearer(world["viewer"])

    async def scenario(asgi, _feed):
        for pod, variants in (("pod-1", {"plain", "new"}), ("pod-2", {None})):
            found = set()
            for number in range(20):
                headers = [reader, unit(f"u{number}"), ("x-config-instance", pod)]
                await asgi.get(HERE, headers)
                again = at_once(asgi.get(HERE, headers))
                same(again, await asgi.get_from_django(HERE, headers))
                found.add(json.loads(again.body).get("experiment", {}).get("variant"))
            assert found == variants

    run(scenario)


def test_several__asked_again__say_the_revision_of_now(world):  # noqa: F811
    reader = bearer(world["viewer"])

    async def scenario(asgi, feed):
        first = await asgi.get(BOTH, [reader])
        digits = len(str(feed.revision))
        while len(str(feed.revision)) == digits:  # the length of the answer changes, too
            await sync_to_async(publish)("shop", "staging", config={"n": next(NAMES)})
            assert await feed.caught_up(20)

        again = at_once(asgi.get(BOTH, [reader]))

        same(again, await asgi.get_from_django(BOTH, [reader]))
        assert len(again.body) == len(first.body) + 1
        assert again.header(b"content-length") == str(len(again.body)).encode()

    run(scenario)


@pytest.mark.parametrize("service", ["shop", "cart"])
def test_several__one_of_which_is_published__are_asked_for_again(world, service):  # noqa: F811
    reader = bearer(world["viewer"])

    async def scenario(asgi, _feed):
        await asgi.get(BOTH, [reader])
        assert (await asked(asgi, BOTH, reader))[1] == 0

        await sync_to_async(publish)(service, config={"a": "fresh"})

        answer, times = await asked(asgi, BOTH, reader)
        assert times == 1
        assert b"fresh" in answer.body

    run(scenario)


def test_many__who_ask_the_same_at_once__are_one_question_to_django(world):  # noqa: F811
    reader = bearer(world["viewer"])

    async def scenario(asgi, _feed):
        answers = await asyncio.gather(*(asgi.get(HERE, [reader]) for _each in range(50)))

        assert asgi.views.asked == 1
        for each in answers:
            same(each, answers[0])

    run(scenario)


def test_many__who_ask_for_what_is_not_kept__are_all_answered(world):  # noqa: F811
    reader = bearer(world["nobody"])

    async def scenario(asgi, _feed):
        answers = await asyncio.gather(*(asgi.get(HERE, [reader]) for _each in range(10)))

        assert {each.status for each in answers} == {404}
        assert not asgi.hot.behind._asked

    run(scenario)


@pytest.mark.parametrize("query", ["after={}&wait=20", "wait=20&after={}&min_revision={}"])
def test_many__who_wait_for_the_same__are_one_question_to_django(world, query):  # noqa: F811
    reader = bearer(world["viewer"])

    async def scenario(asgi, feed):
        revision = feed.revision
        address = f"{HERE}?environment=production&{query.format(revision, revision)}"
        waiting = [asyncio.create_task(asgi.get(address, [reader])) for _each in range(50)]
        await asyncio.sleep(0.5)
        assert not asgi.views.asked

        await sync_to_async(publish)(config={"a": "news"})

        answers = await asyncio.gather(*waiting)
        assert asgi.views.asked == 1
        assert b"news" in answers[0].body
        for each in answers:
            same(each, answers[0])
        same(answers[0], await asgi.get_from_django(address, [reader]))

    run(scenario)


def test_poll__that_hears_nothing__is_answered_by_django(world):  # noqa: F811
    reader = bearer(world["viewer"])

    async def scenario(asgi, feed):
        address = f"{HERE}?after={feed.revision}&wait=1"
        answer, times = await asked(asgi, address, reader)

        assert (times, answer.status) == (1, 204)

    run(scenario)


def test_question__that_needs_a_revision__is_answered_from_memory_once_it_is_reached(world):  # noqa: F811
    reader = bearer(world["viewer"])

    async def scenario(asgi, feed):
        await asgi.get(HERE, [reader])
        address = f"{HERE}?min_revision={feed.epoch}-{feed.revision}"

        answer, times = await asked(asgi, address, reader)

        assert times == 0
        same(answer, await asgi.get_from_django(address, [reader]))
        beyond, times = await asked(asgi, f"{HERE}?min_revision=other-1", reader)
        assert (times, beyond.status) == (1, 409)
        nothing_new = f"{HERE}?min_revision={feed.revision}&after={feed.revision}"
        assert (await asgi.get(nothing_new, [reader])).status == 204

    run(scenario)
