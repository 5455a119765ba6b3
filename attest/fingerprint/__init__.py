"""Fingerprints: one file each, permanent ids, shareable without the weights."""

from collections.abc import Callable

from attest.architecture import Model
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID, anchored_sketch
from attest.fingerprint.attention_std import ATTENTION_STD
from attest.fingerprint.expert_norms import EXPERT_NORMS
from attest.fingerprint.expert_sketch import EXPERT_SKETCH
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results
from attest.fingerprint.moments import MOMENTS_ID, collect_exact, collect_scales, describe, describe_quantization
from attest.fingerprint.neuron_sketch import NEURON_SKETCH
from attest.fingerprint.norm_gain import NORM_GAIN
from attest.fingerprint.qkv_bias import QKV_BIAS
from attest.fingerprint.row_digests import NUMBERS, ROW_DIGESTS, sampling_shift
from attest.fingerprint.unit_norms import RANGES, UNIT_NORMS, norms_of
from attest.fingerprint.unpacked import describe_not_finite, make_accumulators

__all__ = [
    "DEEP_FINGERPRINTS",
    "DEEP_IDS",
    "FINGERPRINTS",
    "MOMENTS_ID",
    "NUMBERS",
    "RANGES",
    "Fingerprint",
    "Makers",
    "Profile",
    "Results",
    "collect_exact",
    "collect_scales",
    "describe",
    "describe_not_finite",
    "describe_quantization",
    "make_accumulators",
    "norms_of",
    "sampling_shift",
]

FINGERPRINTS: tuple[Fingerprint, ...] = (
    ATTENTION_STD,
    NORM_GAIN,
    QKV_BIAS,
    UNIT_NORMS,
    NEURON_SKETCH,
    EXPERT_SKETCH,
    EXPERT_NORMS,
    ROW_DIGESTS,
)
"""All fingerprints. A new one is a file beside these and a line here."""

DEEP_IDS = frozenset({ANCHORED_SKETCH_ID})
"""Ids of the fingerprints that are made only where they are asked for. They agree within one step of an integer."""

DEEP_FINGERPRINTS: tuple[Callable[[Model], Fingerprint], ...] = (anchored_sketch,)
"""What makes these fingerprints of one checkpoint; each reads something ahead."""
