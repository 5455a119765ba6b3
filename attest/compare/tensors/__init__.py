"""Tensors and rows that both have, wherever they stand: values that are the same, and signs of which came later."""
