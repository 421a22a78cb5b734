"""A drawing as a page to explore: modules open and close, and each node shows its numbers."""
