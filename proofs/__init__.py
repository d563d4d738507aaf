"""Proofs: informal (`*.md`), symbolic (`symbolic`) and formal (`coq`); see README.md."""
