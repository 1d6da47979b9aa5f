"""After a restore rights wait: nothing opens to anybody until a superuser has confirmed them."""

import pytest

pytestmark = pytest.mark.django_db

PASSWORD = "a long phrase that holds"
RULE = {"environment": "production"}


@pytest.fixture
def world(shop, system, operator):
    """A configuration, an account with two tokens, two people of whom one is superuser; held."""
    from types import SimpleNamespace

    from apps.access import people, services
    from apps.access.holds import hold_rights
    from apps.core.transactions import writing

    body = {"environment": "production", "config": {"n": 1}, "message": "m"}
    assert operator.post("/config/shop", body).status_code == 201
    w = SimpleNamespace(system=system, operator=operator)
    w.robot = services.create_account(actor=system, slug="robot")
    w.grant = services.grant(actor=system, to="service-account:robot", role="viewer")
    w.token, w.raw = services.create_token(actor=system, account=w.robot)
    w.other, w.other_raw = services.create_token(actor=system, account=w.robot)
    w.ines = people.create_superuser(actor=system, username="ines", password=PASSWORD)
    w.ada = people.create_person(actor=system, username="ada", password=PASSWORD)
    services.grant(actor=system, to="user:ada", role="administrator")
    with writing():
        hold_rights()
    return w


def log_in(client, username):
    form = {"username": username, "password": PASSWORD}
    return client.post("/admin/login/", form)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/config/shop?environment=production", None),
        ("get", "/services", None),
        ("get", "/metrics", None),
        ("get", "/stream?service=shop&environment=production", None),
        ("post", "/stream-tickets", {}),
        ("post", "/graphql", {"query": "{ services { slug } }"}),
        ("post", "/ofrep/v1/evaluate/flags", {"context": {}}),
        ("post", "/config/shop", {"config": {"n": 2}, "on_stale": "overwrite", **RULE}),
    ],
)
def test_requests__while_rights_are_held__are_503_and_say_so(world, method, path, body):
    answer = getattr(world.operator, method)(path, *([body] if body is not None else []))

    assert (answer.status_code, answer.json()["code"]) == (503, "held")
    assert int(answer["Retry-After"]) > 1
    assert "backup confirm" in answer.json()["detail"]


def test_open_addresses__while_rights_are_held__answer(world, client):
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json()["held"] is True


def test_login__while_rights_are_held__is_for_superusers_and_their_page_alone(world, client):
    from django.urls import reverse

    refused = log_in(client, "ada")
    assert refused.status_code == 503
    assert "_auth_user_id" not in client.session
    assert log_in(client, "ines").status_code == 302

    page = reverse("admin:confirm-rights")
    for path in ("/admin/", "/admin/core/user/", "/admin/rights/"):
        assert client.get(path)["Location"] == page
    assert client.get("/accounts/2fa/").status_code == 200
    for path in ("/services", "/metrics", "/stream?service=shop&environment=production"):
        answer = client.get(path, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (503, "held")
    shown = client.get(page).content.decode()
    for text in ("ines", "ada", "robot", world.token.prefix, "service-account:robot"):
        assert text in shown


def test_confirm__with_what_is_withdrawn__is_one_act_and_lets_the_rest_work(world, client):
    from django.urls import reverse

    from apps.audit.models import AuditEvent

    log_in(client, "ines")
    form = {"token": [str(world.other.pk)], "person": [world.ada.pk], "grant": []}
    answer = client.post(reverse("admin:confirm-rights"), form)

    assert answer["Location"] == reverse("admin:index")
    assert client.get("/admin/").status_code == 200
    rows = list(AuditEvent.objects.order_by("-number")[:3])
    assert {each.action for each in rows} == {
        "token.withdrawn",
        "user.updated",
        "installation.rights_confirmed",
    }
    assert len({each.revision for each in rows}) == 1
    assert rows[0].actor == "user:ines"
    path = "/config/shop?environment=production"
    bearer = {"authorization": f"Bearer {world.raw}"}
    assert client.get(path, headers=bearer).status_code == 200
    withdrawn = {"authorization": f"Bearer {world.other_raw}"}
    assert client.get(path, headers=withdrawn).status_code == 401


def test_page__with_more_marks_than_a_form_usually_has__withdraws_all(world, client):
    import secrets

    from django.urls import reverse

    from apps.access.models import Token
    from apps.core import clock

    many = [
        Token(
            account=world.robot,
            prefix=f"csk_{number}",
            digest=secrets.token_hex(32),
            created_at=clock.now(),
            created_by="user:ines",
        )
        for number in range(1_200)
    ]
    Token.objects.bulk_create(many)
    log_in(client, "ines")

    answer = client.post(
        reverse("admin:confirm-rights"), {"token": [str(each.pk) for each in many]}
    )

    assert answer["Location"] == reverse("admin:index")
    assert Token.objects.filter(withdrawn_at__isnull=False).count() == len(many)


def test_confirm__of_a_grant__takes_what_it_gave(world, client):
    from apps.access.holds import Withdrawn, confirm_rights

    confirm_rights(actor=world.system, withdraw=Withdrawn(grants=[world.grant.pk]))

    bearer = {"authorization": f"Bearer {world.raw}"}
    path = "/config/shop?environment=production"
    assert client.get(path, headers=bearer).status_code == 404


def test_confirm__by_others_or_of_what_is_not_there__changes_nothing(world):
    from apps.access.holds import Withdrawn, are_held, confirm_rights
    from apps.access.selectors import person
    from apps.engine.errors import ConflictError, ForbiddenError, InvalidError

    own = [world.ines.pk]
    for actor, withdraw, error in (
        (person(world.ada), Withdrawn(), ForbiddenError),
        (person(world.ines), Withdrawn(people=own), InvalidError),
        (world.system, Withdrawn(people=[world.ines.pk, world.ada.pk]), InvalidError),
        (world.system, Withdrawn(grants=[99_999]), InvalidError),
    ):
        with pytest.raises(error):
            confirm_rights(actor=actor, withdraw=withdraw)
        assert are_held()
    confirm_rights(actor=world.system, withdraw=Withdrawn())
    with pytest.raises(ConflictError):
        confirm_rights(actor=world.system, withdraw=Withdrawn())


@pytest.mark.parametrize("form", [{"token": "x"}, {"person": "-1"}, {"grant": "9" * 30}])
def test_page__given_what_is_no_key__says_so(world, client, form):
    from django.urls import reverse

    from apps.access.holds import are_held

    log_in(client, "ines")

    assert client.post(reverse("admin:confirm-rights"), form).status_code in (200, 400)
    assert are_held()


def test_command__confirms_with_a_preview(world, capsys):
    from django.core.management import CommandError, call_command

    from apps.access.holds import are_held

    with pytest.raises(CommandError):
        call_command("backup", "confirm", "--withdraw-token", "csk_none", "--yes")
    assert are_held()

    arguments = ("--withdraw-token", world.other.prefix, "--deactivate", "ada", "--yes")
    call_command("backup", "confirm", *arguments)

    said = capsys.readouterr().out
    assert f"- withdraw  {world.other.prefix}" in said
    assert "- withdraw  ada" in said
    assert f"  {world.token.prefix}" in said
    assert not are_held()
    world.other.refresh_from_db()
    assert world.other.withdrawn_at is not None


def test_acts_in_somebodys_name__while_rights_are_held__wait(world):
    from apps.access.selectors import find_actor_named
    from apps.engine.errors import HeldError

    for name in ("user:ines", "service-account:robot"):
        with pytest.raises(HeldError):
            find_actor_named(name)


def test_event_tickets__older_than_the_restore__open_nothing(world):
    from apps.access.models import AccessGeneration
    from apps.access.selectors import person, still_valid
    from apps.core import clock
    from apps.engine.errors import HeldError

    actor = person(world.ines)
    with pytest.raises(HeldError):
        still_valid(actor, now=clock.now())
    AccessGeneration.objects.update(held_at=None)
    assert still_valid(actor, now=clock.now()) is not None
