"""Figures of the theory, one module a family; ``style`` is what they share."""
