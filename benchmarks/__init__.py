"""Speed, side by side with a rival: `python -m benchmarks`."""
