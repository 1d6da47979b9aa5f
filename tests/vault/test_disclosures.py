"""Counting who was given which secrets."""

import threading

import pytest

SLOW = """
CREATE FUNCTION wait_a_moment() RETURNS trigger AS $$
BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$ LANGUAGE plpgsql;
CREATE TRIGGER wait_a_moment BEFORE UPDATE ON vault_disclosure
FOR EACH ROW EXECUTE FUNCTION wait_a_moment();
"""


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_disclose__the_same_secrets_in_another_order_at_once__waits_and_counts_both(system, shop):
    from django.db import connection

    from apps.access.policy import Place
    from apps.registry.selectors import get_environment
    from apps.vault.models import Disclosure
    from apps.vault.selectors import find_named
    from apps.vault.services import create_secret, disclose

    place = Place(shop, get_environment("production"))
    for name in ("one", "two"):
        create_secret(actor=system, place=place, slug=name, value=f"v-{name}")
    found = find_named(place, {"one", "two"})
    orders = [dict(sorted(found.items(), reverse=each)) for each in (False, True)]
    disclose(actor=system, found=found)
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    failed = []

    def give(chosen):
        try:
            assert disclose(actor=system, found=chosen) == {"one": "v-one", "two": "v-two"}
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=give, args=(each,)) for each in orders]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TRIGGER wait_a_moment ON vault_disclosure; DROP FUNCTION wait_a_moment"
        )

    assert failed == []
    assert [row.count for row in Disclosure.objects.all()] == [3, 3]
