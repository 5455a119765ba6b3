"""Neurons found by what they are and not by where they stand: descriptive, and what a reference panel ranks."""
