"""Who may do what: service accounts, tokens, grants, roles, idempotency.

The only place that uses django-guardian, and the only one that answers a permission question.
"""
