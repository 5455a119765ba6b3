"""Activations: what a network does on shipped prompts. Only `attest.activation.network` imports torch, in a child."""

from attest.activation.profile import (
    PROFILE_ID,
    RUN_FINDINGS,
    TOLERANCE,
    ActivationComparison,
    Activations,
    LayerDifference,
    compare_activations,
    measure_activations,
)
from attest.activation.prompts import PROMPT_SETS, PromptSet, load_prompt_set

__all__ = [
    "PROFILE_ID",
    "PROMPT_SETS",
    "RUN_FINDINGS",
    "TOLERANCE",
    "ActivationComparison",
    "Activations",
    "LayerDifference",
    "PromptSet",
    "compare_activations",
    "load_prompt_set",
    "measure_activations",
]
