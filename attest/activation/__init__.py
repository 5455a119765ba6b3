"""Activations: what a network does on prompts. torch is imported in a child process only."""

from attest.activation.activations import (
    PROFILE_ID,
    PROMPTS_NAME,
    RUN_FINDINGS,
    TOLERANCE,
    Activations,
    measure_activations,
)
from attest.activation.job import DEVICES, Device
from attest.activation.prompts import (
    PROMPT_SETS,
    Prompts,
    PromptSet,
    load_prompt_set,
    parse_prompts,
    read_prompts,
)
from attest.activation.reproduction import ActivationComparison, LayerDifference, compare_activations
from attest.activation.runner import DEFAULT_OPTIONS, Options

__all__ = [
    "DEFAULT_OPTIONS",
    "DEVICES",
    "PROFILE_ID",
    "PROMPTS_NAME",
    "PROMPT_SETS",
    "RUN_FINDINGS",
    "TOLERANCE",
    "ActivationComparison",
    "Activations",
    "Device",
    "LayerDifference",
    "Options",
    "PromptSet",
    "Prompts",
    "compare_activations",
    "load_prompt_set",
    "measure_activations",
    "parse_prompts",
    "read_prompts",
]
