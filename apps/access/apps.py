from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "apps.access"
    label = "access"

    def ready(self) -> None:
        from apps.access.generation import begin_anew
        from apps.access.recurring import register_kinds
        from apps.audit import epochs

        register_kinds()
        epochs.begun.connect(begin_anew)
