"""The admin site: every admin class and page."""
