"""The addresses of everything."""

urlpatterns: list[object] = []
