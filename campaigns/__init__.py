"""Attacks on the program that take longer than tests may: `python -m campaigns`."""
