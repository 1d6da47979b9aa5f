"""GraphQL: the same acts, selectors and rights as REST, as one graph. One module for each noun."""
