"""The record as data: variables, operations and edges, with their numbers."""
