import dataclasses

import pytest

from apps.engine import chain


def links(count=6):
    made = []
    previous = chain.GENESIS
    for number in range(1, count + 1):
        fields = {
            "number": number,
            "revision": number + number % 2,  # acts of two events
            "at": f"2026-11-24T09:30:0{(number + 1) // 2}.000000Z",
            "actor": "user:ada",
            "action": "configuration.publish",
            "target": "configuration:shop@production",
            "data": f'{{"version":{number}}}',
        }
        link = chain.Link(fields, previous, chain.event_hash(previous, fields))
        made.append(link)
        previous = link.hash
    return made


def test_find_break__sound_chain__is_none():
    assert chain.find_break(links()) is None


@pytest.mark.parametrize("name", ["number", "revision", "at", "actor", "action", "target", "data"])
def test_find_break__any_edited_field__is_found_at_its_event(name):
    altered = links()
    fields = {**altered[2].fields, name: 99 if name in ("number", "revision") else "x"}
    altered[2] = dataclasses.replace(altered[2], fields=fields)

    assert chain.find_break(altered) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda all_: all_[:2] + all_[3:],
        lambda all_: [all_[1], all_[0], *all_[2:]],
        lambda all_: [*all_[:3], all_[2], *all_[3:]],
        lambda all_: all_[1:],
        lambda all_: all_[:5],
    ],
    ids=["deleted", "reordered", "doubled", "first cut", "half an act"],
)
def test_find_break__missing_or_moved_event__is_found(damage):
    assert chain.find_break(damage(links())) is not None
