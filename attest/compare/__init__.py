"""Tests on a pair of checkpoints."""
