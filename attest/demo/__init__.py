"""The demo: the whole path on real trained weights, every step a command that the reader can repeat."""
