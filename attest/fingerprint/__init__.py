"""Fingerprints: one file each, permanent ids, shareable without the weights."""

from attest.fingerprint.attention_std import ATTENTION_STD
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results
from attest.fingerprint.moments import MOMENTS_ID, collect_exact, describe
from attest.fingerprint.neuron_sketch import NEURON_SKETCH
from attest.fingerprint.norm_gain import NORM_GAIN
from attest.fingerprint.qkv_bias import QKV_BIAS
from attest.fingerprint.row_digests import ROW_DIGESTS
from attest.fingerprint.unit_norms import UNIT_NORMS

__all__ = ["FINGERPRINTS", "MOMENTS_ID", "Fingerprint", "Makers", "Profile", "Results", "collect_exact", "describe"]

FINGERPRINTS: tuple[Fingerprint, ...] = (
    ATTENTION_STD,
    NORM_GAIN,
    QKV_BIAS,
    UNIT_NORMS,
    NEURON_SKETCH,
    ROW_DIGESTS,
)
"""All fingerprints. A new one is a file beside these and a line here."""
