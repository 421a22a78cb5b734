"""The command line: its commands, and the page of `tinygrad-gm quickstart`."""
