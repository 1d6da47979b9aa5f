"""A token is replaced without a moment in which none works, and without becoming more."""

import json
import uuid
from datetime import timedelta

import pytest

pytestmark = pytest.mark.django_db

DAY = 86_400


def tokens_of(api, admin):
    address = f"/service-accounts/{api.account.slug}/tokens"
    return json.loads(admin.get(address).content)["results"]


def rotate(admin, api, token_id=None, **members):
    token_id = token_id or tokens_of(api, admin)[-1]["id"]
    return admin.post(f"/service-accounts/{api.account.slug}/tokens/{token_id}/rotate", members)


def works(raw):
    from tests.conftest import Api

    return Api(raw).get("/services").status_code == 200


def test_rotate__during_the_overlap_both_work__and_afterwards_the_new_one_alone(operator, make_api):
    from apps.access.selectors import authenticate_token, digest_of
    from apps.core import clock
    from apps.engine.errors import UnauthenticatedError

    robot = make_api("viewer")

    answer = rotate(operator, robot, overlap=3600)

    made = json.loads(answer.content)
    assert answer.status_code == 201
    assert "no-store" in answer.headers["Cache-Control"]
    assert works(robot.raw)
    assert works(made["token"])
    ends = robot.account.tokens.get(digest=digest_of(robot.raw)).expires_at
    assert timedelta(seconds=3590) < ends - clock.now() <= timedelta(seconds=3600)
    assert authenticate_token(robot.raw, now=ends - timedelta(seconds=1))
    with pytest.raises(UnauthenticatedError):
        authenticate_token(robot.raw, now=ends)
    assert authenticate_token(made["token"], now=ends)
    assert answer.headers["Location"].endswith(f"/tokens/{made['id']}")


def test_rotate__shown_once__is_in_no_later_answer_nor_in_the_ledger(operator, make_api):
    robot = make_api("viewer")
    key = {"idempotency_key": "k"}
    old = tokens_of(robot, operator)[0]
    address = f"/service-accounts/{robot.account.slug}/tokens/{old['id']}/rotate"
    raw = json.loads(operator.post(address, {}, **key).content)["token"]

    again = operator.post(address, {}, **key)
    events = operator.get(f"/audit?target=service-account:{robot.account.slug}").content

    assert again.status_code == 409
    assert raw not in again.content.decode() + events.decode()
    found = json.loads(events)["results"]
    assert [each["action"] for each in found[:2]] == ["token.rotated", "token.created"]
    assert found[0]["revision"] == found[1]["revision"]
    assert found[0]["data"]["token"] == old["prefix"]
    assert len(tokens_of(robot, operator)) == 2


def test_rotate__token_that_ends_with_the_calendar__is_no_5xx(operator, make_api, system):
    from datetime import UTC, datetime

    from apps.access import services

    robot = make_api("viewer")
    end = datetime.max.replace(tzinfo=UTC)
    old, _raw = services.create_token(actor=system, account=robot.account, expires_at=end)

    assert rotate(operator, robot, str(old.pk), overlap=0).status_code == 201


def test_rotate__old_token_with_an_end__is_not_prolonged_by_it(operator, make_api, system):
    from apps.access import services
    from apps.core import clock

    robot = make_api("viewer")
    soon = clock.now() + timedelta(seconds=600)
    old, raw = services.create_token(actor=system, account=robot.account, expires_at=soon)

    made = json.loads(rotate(operator, robot, str(old.pk), overlap=DAY).content)

    listed = {each["id"]: each["expires_at"] for each in tokens_of(robot, operator)}
    assert listed[str(old.pk)] == clock.rfc3339(soon)
    assert made["expires_at"] is not None
    lasts = clock.read_rfc3339(made["expires_at"]) - clock.now()
    assert timedelta(seconds=590) < lasts <= timedelta(seconds=600)
    assert works(raw)


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"overlap": -1}, 422),
        ({"overlap": 30 * DAY + 1}, 422),
        ({"overlap": 10**15}, 422),
        ({"overlap": "1"}, 400),
        ({"overlap": 30 * DAY}, 201),
        ({"overlap": 0}, 201),
        ({"expires_at": "2001-01-01T00:00:00Z"}, 422),
        ({"name": "other"}, 400),
    ],
)
def test_rotate__overlap__is_bounded(operator, make_api, members, status):
    assert rotate(operator, make_api("viewer"), **members).status_code == status


def test_rotate__without_overlap__ends_the_old_one_at_once(operator, make_api):
    robot = make_api("viewer")

    made = json.loads(rotate(operator, robot, overlap=0).content)

    assert not works(robot.raw)
    assert works(made["token"])


def test_rotate__ended_or_missing__is_refused(operator, make_api, system):
    from apps.access import services

    robot = make_api("viewer")
    services.withdraw_token(actor=system, token=robot.account.tokens.get())

    answer = rotate(operator, robot)

    assert (answer.status_code, json.loads(answer.content)["code"]) == (409, "ended")
    assert rotate(operator, robot, str(uuid.uuid4())).status_code == 404


def test_rotate__by_those_who_could_not_make_it__is_refused(make_api, system):
    from apps.access import services

    robot = make_api("security-officer")
    half = make_api()
    for verb in ("list", "manage"):
        services.grant(actor=system, to=f"service-account:{half.account.slug}", verb=verb)
    token_id = str(robot.account.tokens.get().pk)

    assert rotate(half, robot, token_id).status_code == 403
    assert rotate(make_api("operator"), robot, token_id).status_code == 404
    assert rotate(robot, robot, token_id).status_code == 403
    assert works(robot.raw)
