"""Statistics that others publish as evidence of descent, for comparison only."""
