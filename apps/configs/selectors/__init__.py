"""Reading configurations, their history and their templates."""
