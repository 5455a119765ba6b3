"""Programs in Python that share what they are told to share, made from a seed."""

import random

NAMES = [
    f"{first}_{second}"
    for first in ("read", "write", "merge", "scale", "mask", "norm")
    for second in ("row", "head", "key", "cache", "bias")
]


def function(seed: int, lines: int = 12) -> str:
    """A function that no other seed gives."""
    rng = random.Random(seed)  # noqa: S311 - text for a test
    body = [
        f"    {rng.choice(NAMES)} = {rng.choice(NAMES)}({rng.choice(NAMES)}, {rng.randrange(100)}) {rng.choice('+-*/')} {rng.choice(NAMES)}[{rng.randrange(9)}]"
        for _ in range(lines)
    ]
    return "\n".join(
        [
            f"def {rng.choice(NAMES)}_{seed}({rng.choice(NAMES)}, {rng.choice(NAMES)}):",
            *body,
            f"    return {rng.choice(NAMES)}",
            "",
        ]
    )


def program(*seeds: int, header: str = "") -> str:
    """A file of functions."""
    return header + "\n\n".join(function(seed) for seed in seeds)
