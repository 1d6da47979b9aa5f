"""Who is configured, and where: services, environments, configurations. Models and selectors only."""
