"""All activation fingerprints. A new one is a file beside these and a line here."""

from __future__ import annotations

from attest.activation.attention_entropy import ATTENTION_ENTROPY
from attest.activation.neuron_activations import NEURON_ACTIVATIONS
from attest.activation.observer import ActivationFingerprint
from attest.activation.predictions import PREDICTIONS
from attest.activation.residual_profile import ACTIVATION_PROFILE
from attest.activation.residual_sketch import RESIDUAL_SKETCH

__all__ = ["ACTIVATION_FINGERPRINTS"]

ACTIVATION_FINGERPRINTS: tuple[ActivationFingerprint, ...] = (
    ACTIVATION_PROFILE,
    RESIDUAL_SKETCH,
    NEURON_ACTIVATIONS,
    ATTENTION_ENTROPY,
    PREDICTIONS,
)
"""The profile stands first: it refuses numbers that are not finite before any other takes them."""
