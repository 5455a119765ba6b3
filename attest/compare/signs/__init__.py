"""Signs of matched neurons: exact, wherever the neurons stand."""
