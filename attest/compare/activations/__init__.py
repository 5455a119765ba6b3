"""What two networks do with the same words: descriptive, but for the dimensions of their residual streams."""
