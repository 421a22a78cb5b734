"""The command line: its commands, and the tour that `tinygrad-gm quickstart` gives."""
