"""What flags and segments need of each other: circles, and how deep it goes."""

from collections.abc import Collection, Mapping
from typing import Final

MAX_LEVEL: Final = 32


def in_cycles(needs: Mapping[str, Collection[str]]) -> list[str]:
    """The names in circles, or between them: what is left once nothing can be taken away whose
    needs, or whose users, are all gone.
    """
    users: dict[str, list[str]] = {name: [] for name in needs}
    for name, needed in needs.items():
        for each in needed:
            users.get(each, []).append(name)
    left = set(needs)
    for away in (needs, users):
        back = users if away is needs else needs
        count = {name: sum(each in left for each in away[name]) for name in left}
        free = [name for name in left if not count[name]]
        while free:
            gone = free.pop()
            left.discard(gone)
            for each in back[gone]:
                if each in left:
                    count[each] -= 1
                    if not count[each]:
                        free.append(each)
    return [name for name in needs if name in left]


def levels(needs: Mapping[str, Collection[str]]) -> dict[str, int]:
    """By name, how many steps deep its needs go. Names in circles, and what needs them, are left
    out; what is needed and is no name of ``needs`` is no step. Linear.
    """
    users: dict[str, list[str]] = {name: [] for name in needs}
    waiting = dict.fromkeys(needs, 0)
    for name, needed in needs.items():
        for each in needed:
            if each in users:
                users[each].append(name)
                waiting[name] += 1
    found = {name: 0 for name, count in waiting.items() if not count}
    ready = list(found)
    while ready:
        name = ready.pop()
        for user in users[name]:
            found[user] = max(found.get(user, 0), found[name] + 1)
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return {name: level for name, level in found.items() if not waiting[name]}
