"""Acts on secrets, their rotation, keys and connections; each with its events, as in ``test_acts``."""

import base64
from datetime import timedelta

PIN = "secret:shop@production/pin"
HOOK = "connection:hook"
ROTATION = {"rotator": "password", "keep_hours": 1}
BY_JOB = "system:rotation"


def change(**changes):
    def act(w):
        from apps.vault.services import update_secret

        update_secret(actor=w.actor, secret=w.secret, changes=changes)

    return act


def give_and_take_rotation(w):
    change(rotation=ROTATION)(w)
    change(rotation=None)(w)


def rotate(w, rotation=ROTATION, later=timedelta(0)):
    from apps.core import clock, runner
    from apps.vault.schedules import begin_rotation

    change(rotation=rotation)(w)
    begin_rotation(actor=w.actor, secret=w.secret)
    runner.run_due(now=clock.now() + later)


def rotate_and_let_end(w):
    rotate(w, later=timedelta(hours=2))


def connect(w, address="https://127.0.0.1:9/", connection=None):
    from apps.vault import services
    from apps.vault.connections import ConnectionData, save_connection
    from apps.vault.models import Secret

    credential = Secret.objects.filter(slug="hook-key").first() or services.create_secret(
        actor=w.actor,
        place=w.here,
        slug="hook-key",
        value="whsec_" + base64.b64encode(b"k" * 32).decode(),
    )
    data = ConnectionData(slug="hook", kind="webhook", address=address, credential=credential)
    return save_connection(actor=w.actor, data=data, connection=connection)


def change_connection(w):
    connect(w, "https://127.0.0.1:10/", connect(w))


def delete_connection(w):
    from apps.vault.connections import delete_connection

    delete_connection(actor=w.actor, connection=connect(w))


def rotate_in_vain(w):
    """Nobody answers at the connection."""
    connect(w)
    rotate(w, {"rotator": "webhook", "connection": "hook"}, timedelta(days=1))


def damage(w):
    from apps.engine.errors import IntegrityError
    from apps.vault.models import WrappedKey
    from apps.vault.services import reveal

    row = WrappedKey.objects.get(version__secret=w.secret)
    WrappedKey.objects.filter(pk=row.pk).update(wrapped=bytes(row.wrapped)[::-1])
    try:
        reveal(actor=w.actor, secret=w.secret)
    except IntegrityError:
        return
    raise AssertionError("It opened.")


def change_keys(w):
    from apps.vault import rewrapping

    rewrapping.make_key(actor=w.actor)
    list(rewrapping.rewrap_all(actor=w.actor, batch=10))
    rewrapping.forget_unused(actor=w.actor)


CREDENTIAL = ("secret.created", "secret:shop@production/hook-key")
BEGUN = [("secret.rotation_set", PIN), ("secret.rotation_begun", PIN)]
DONE = [("secret.rotation_prepared", PIN, BY_JOB), ("secret.rotated", PIN, BY_JOB)]
SECRET_ACTS = {
    "describe a secret": (change(description="x"), [("secret.changed", PIN)]),
    "give a secret its rotation": (change(rotation=ROTATION), [("secret.rotation_set", PIN)]),
    "take its rotation away": (
        give_and_take_rotation,
        [("secret.rotation_set", PIN), ("secret.rotation_removed", PIN)],
    ),
    "rotate": (rotate, [*BEGUN, *DONE]),
    "rotate, and the value before ends": (
        rotate_and_let_end,
        [*BEGUN, *DONE, ("secret.destroyed", PIN, BY_JOB)],
    ),
    "rotate in vain": (
        rotate_in_vain,
        [
            CREDENTIAL,
            ("connection.created", HOOK),
            *BEGUN,
            ("secret.rotation_prepared", PIN, BY_JOB),
            ("secret.rotation_failed", PIN, BY_JOB),
        ],
    ),
    "open what was altered": (damage, [("secret.integrity", PIN)]),
    "make a connection": (connect, [CREDENTIAL, ("connection.created", HOOK)]),
    "change a connection": (
        change_connection,
        [CREDENTIAL, ("connection.created", HOOK), ("connection.changed", HOOK)],
    ),
    "end a connection": (
        delete_connection,
        [CREDENTIAL, ("connection.created", HOOK), ("connection.deleted", HOOK)],
    ),
    "put a new key in the place of the old": (
        change_keys,
        [("key.added", "key:*"), ("key.rotated", "key:*"), ("key.removed", "key:*")],
    ),
}
