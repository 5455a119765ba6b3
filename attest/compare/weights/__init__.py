"""Tests that read the weights of both; all others need no more than their evidence."""
