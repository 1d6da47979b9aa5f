"""REST, and the one place where errors become HTTP answers."""
