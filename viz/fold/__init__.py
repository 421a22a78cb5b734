"""What becomes one box: modules, repeated blocks, stretches of operations."""
