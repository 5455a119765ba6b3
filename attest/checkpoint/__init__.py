"""Checkpoint readers, one file a format."""
