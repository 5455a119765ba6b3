"""Unit i of one network with unit i of the other: exact permutation tests, and what they owe their exactness to."""
