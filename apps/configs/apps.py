from django.apps import AppConfig


class ConfigsConfig(AppConfig):
    name = "apps.configs"
    label = "configs"

    def ready(self) -> None:
        from apps.configs.secret_news import events_of
        from apps.vault.news import register_teller

        register_teller(events_of)
