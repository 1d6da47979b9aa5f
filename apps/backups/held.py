"""Held rights on the terminal: what there is, and what of it is to be withdrawn."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from apps.access.holds import Withdrawn, list_lasting_tokens, list_people
from apps.access.models import Token
from apps.access.selectors import holder_name, list_grants, list_key_rules
from apps.core.models import User
from apps.engine.errors import NotFoundError

NAMED: Final = {"withdraw-token": "PREFIX", "withdraw-grant": "NUMBER", "deactivate": "USERNAME"}
"""The options that name what is withdrawn, and what they take."""


def named_in(options: Mapping[str, Any]) -> Withdrawn:
    """What the options name. Raises :class:`NotFoundError` for a name that is nobody's."""
    tokens = list(list_lasting_tokens())
    people = list(list_people())
    grants = {str(pk): pk for pk in list_grants().values_list("pk", flat=True)}
    return Withdrawn(
        people=[_person(people, name).pk for name in options["deactivate"]],
        tokens=[str(_token(tokens, prefix).pk) for prefix in options["withdraw_token"]],
        grants=[_one(grants, number, "grant") for number in options["withdraw_grant"]],
    )


def _person(people: Sequence[User], name: str) -> User:
    found: User = _one({each.username: each for each in people}, name, "person")
    return found


def _token(tokens: Sequence[Token], prefix: str) -> Token:
    found = [each for each in tokens if prefix and each.prefix.startswith(prefix)]
    if len(found) != 1:
        word = "several tokens begin" if found else "no token that works begins"
        raise NotFoundError(f"For '{prefix}': {word} so.")
    return found[0]


def _one(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise NotFoundError(f"There is no {what} '{name}'.")
    return known[name]


def describe_held(withdraw: Withdrawn) -> list[str]:
    """Lines for people: everybody who could do anything, with a mark at what is withdrawn."""
    lines = ["People"]
    for user in list_people():
        word = "superuser, " if user.is_superuser else ""
        lines.append(
            f"{_mark(user.pk in withdraw.people)} {user.username}  {word}last log-in {_day(user.last_login)}"
        )
    lines.append("Tokens")
    for token in list_lasting_tokens():
        until = f"until {_day(token.expires_at)}" if token.expires_at else "without an end"
        lines.append(
            f"{_mark(str(token.pk) in withdraw.tokens)} {token.prefix}…  {token.account.slug}"
            f"  {until}, last used {_day(token.last_used_at)}"
        )
    lines.append("Grants")
    for grant in list_grants():
        place = grant.key_rule or f"{grant.service or '*'}@{grant.environment or '*'}"
        lines.append(
            f"{_mark(grant.pk in withdraw.grants)} {grant.pk}  {grant.role or grant.verb}"
            f" to {holder_name(grant)} on {place}"
        )
    lines.append("Key rules, which stay")
    lines += [f"  {each}" for each in list_key_rules()]
    return lines


def _mark(is_withdrawn: bool) -> str:
    return "- withdraw " if is_withdrawn else " "


def _day(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
