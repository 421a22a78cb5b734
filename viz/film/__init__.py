"""Backpropagation step by step: frames, a page, a GIF."""
