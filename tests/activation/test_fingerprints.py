"""Every activation fingerprint on numbers whose answer is known, and its size on the shape of a large network."""

import hashlib

import numpy as np
import pytest

from attest.activation.fingerprints import ACTIVATION_FINGERPRINTS
from attest.activation.neuron_activations import LOOK_WIDTH, NEURON_ACTIVATIONS, kept_layers
from attest.activation.observer import ActivationFingerprint, Observed, Plan, Seen, public_signs
from attest.activation.places import MOST_PLACES, places_of_tokens
from attest.activation.predictions import MOST_LIKELY, PREDICTIONS
from attest.activation.residual_sketch import RESIDUAL_SKETCH, SKETCH_WIDTH
from attest.checkpoint.arrays import pack_arrays

RNG = np.random.default_rng(5)
LENGTH, SEQUENCES = 20, 4
MEGABYTE = 1_000_000


def plan(*, gated: bool = True, widths: dict[int, int] | None = None, named: bool = False) -> Plan:
    return Plan(
        token_ids=tuple(tuple(range(LENGTH)) for _ in range(SEQUENCES)),
        places=tuple(places_of_tokens(LENGTH, sequences=SEQUENCES) for _ in range(SEQUENCES)),
        widths={0: 24, 1: 24} if widths is None else widths,
        gated=gated,
        token_name=(lambda token: f"word {token}") if named else None,
    )


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def observed(fingerprint: ActivationFingerprint, seen: list[Seen], how: Plan) -> Observed:
    observer = fingerprint.observe(how)
    for one in seen:
        observer.watch(one)
    return observer.result()


def states(layers: list[np.ndarray]) -> list[Seen]:
    return [
        Seen(kind="state", layer=layer, sequence=number, values=values[number])
        for layer, values in enumerate(layers)
        for number in range(SEQUENCES)
    ]


def neurons(layers: dict[int, dict[str, np.ndarray]]) -> list[Seen]:
    return [
        Seen(kind=kind, layer=layer, sequence=number, values=values[number])
        for layer, looks in layers.items()
        for kind, values in looks.items()
        for number in range(SEQUENCES)
    ]


def test_ids_are_unique_and_details_are_files():
    assert len({one.id for one in ACTIVATION_FINGERPRINTS}) == len(ACTIVATION_FINGERPRINTS)
    assert all(one.detail.startswith("detail/") and one.detail.count("/") == 1 for one in ACTIVATION_FINGERPRINTS)


def test_public_signs_are_those_of_the_definition_and_a_prefix_stays():
    signs = public_signs("x/v1", (3, 16))
    bits = "".join(f"{byte:08b}"[::-1] for byte in hashlib.shake_256(b"attest x/v1").digest(6))
    assert signs.ravel().tolist() == [1.0 if bit == "0" else -1.0 for bit in bits]
    assert np.array_equal(public_signs("x/v1", (5, 16))[:3], signs)


def test_inner_products_of_sketches_estimate_those_of_states():
    values = [numbers(SEQUENCES, LENGTH, 64), numbers(SEQUENCES, LENGTH, 64) * 1000]
    found = observed(RESIDUAL_SKETCH, states(values), plan()).arrays
    assert found["sketch"].shape == (2, SEQUENCES * (LENGTH - 1), SKETCH_WIDTH)
    for layer, one in enumerate(values):
        held = one[:, 1:].reshape(-1, 64).astype(np.float64)
        sketch = found["sketch"][layer].astype(np.float64) * found["scale"][layer][:, None]
        assert np.corrcoef((sketch @ sketch.T).ravel(), (held @ held.T).ravel())[0, 1] > 0.8


def test_a_state_of_zeros_is_a_sketch_of_zeros():
    found = observed(RESIDUAL_SKETCH, states([np.zeros((SEQUENCES, LENGTH, 8), np.float32)]), plan()).arrays
    assert not found["sketch"].any()
    assert not found["scale"].any()


def test_a_neuron_keeps_its_row_whatever_its_scale_and_place():
    gate, up = numbers(SEQUENCES, LENGTH, 24), numbers(SEQUENCES, LENGTH, 24)
    order = RNG.permutation(24)
    plain = observed(NEURON_ACTIVATIONS, neurons({0: {"gate": gate, "up": up}}), plan(widths={0: 24})).arrays
    moved = neurons({0: {"gate": gate[..., order], "up": up[..., order] * np.float32(-4) + np.float32(3)}})
    again = observed(NEURON_ACTIVATIONS, moved, plan(widths={0: 24})).arrays
    assert np.array_equal(again["layers.0.gate"], plain["layers.0.gate"][order])
    assert np.abs(again["layers.0.up"].astype(int) + plain["layers.0.up"][order]).max() <= 1


def test_a_neuron_that_does_not_vary_is_zero():
    gate, up = np.ones((SEQUENCES, LENGTH, 24), np.float32), numbers(SEQUENCES, LENGTH, 24)
    found = observed(NEURON_ACTIVATIONS, neurons({0: {"gate": gate, "up": up}}), plan(widths={0: 24})).arrays
    assert not found["layers.0.gate"].any()
    assert found["layers.0.up"].any()


def test_without_gates_the_looks_are_even_and_odd_sequences():
    up = numbers(SEQUENCES, LENGTH, 24)
    changed = up.copy()
    changed[1] += 1
    plain, other = (
        observed(NEURON_ACTIVATIONS, neurons({0: {"up": one}}), plan(gated=False, widths={0: 24})).arrays
        for one in (up, changed)
    )
    assert set(plain) == {"positions", "layers.0.even", "layers.0.odd"}
    assert np.array_equal(plain["layers.0.even"], other["layers.0.even"])
    assert not np.array_equal(plain["layers.0.odd"], other["layers.0.odd"])


def test_attention_entropy_is_that_of_the_definition():
    (entropy,) = (one for one in ACTIVATION_FINGERPRINTS if one.id == "attention-entropy/v1")
    even = np.full((2, LENGTH, LENGTH), 1 / LENGTH, np.float32)
    even[1] = np.eye(LENGTH, dtype=np.float32)
    seen = [Seen(kind="attention", layer=0, sequence=number, values=even) for number in range(SEQUENCES)]
    found = observed(entropy, seen, plan())
    assert found.arrays["entropy"].tolist() == [[pytest.approx(np.log(LENGTH), rel=1e-6), 0.0]]
    assert entropy.table(found.arrays).rows == (("0", "1.49786615", "0", "2.99573231"),)


def test_attention_that_is_no_number_is_not_measured():
    """As where a mask leaves a token nothing to look at, and the network goes on with zeros."""
    (entropy,) = (one for one in ACTIVATION_FINGERPRINTS if one.id == "attention-entropy/v1")
    values = np.full((2, LENGTH, LENGTH), 1 / LENGTH, np.float32)
    values[1, 0] = np.nan
    found = observed(entropy, [Seen(kind="attention", layer=0, sequence=0, values=values)], plan())
    assert (found.arrays, "not finite" in (found.not_measured or "")) == ({}, True)
    assert entropy.table(found.arrays) is None


@pytest.mark.parametrize("named", [False, True])
def test_predictions_are_the_most_likely_in_order(named: bool):  # noqa: FBT001 - the two cases
    logits = numbers(SEQUENCES, LENGTH, 100)
    seen = [Seen(kind="logits", layer=0, sequence=number, values=logits[number]) for number in range(SEQUENCES)]
    found = observed(PREDICTIONS, seen, plan(named=named)).arrays
    held = logits[:, 1:].reshape(-1, 100).astype(np.float64)
    best = np.argsort(-held, axis=1)[:, :MOST_LIKELY]
    if named:
        digest = hashlib.sha256(f"word {best[0, 0]}".encode()).digest()
        assert found["token_digests"][0, 0] == int.from_bytes(digest[:8], "little")
    else:
        assert np.array_equal(found["token_ids"], best)
    exact = np.take_along_axis(held - np.log(np.exp(held).sum(axis=1, keepdims=True)), best, axis=1)
    assert found["log_probability"] == pytest.approx(exact, rel=1e-6)


def test_what_was_not_seen_says_so():
    for one in ACTIVATION_FINGERPRINTS[1:]:
        nothing = observed(one, [], plan(widths={}) if one is NEURON_ACTIVATIONS else few_places())
        assert nothing.arrays == {}
        assert nothing.not_measured
        assert one.table(nothing.arrays) is None


def few_places() -> Plan:
    return Plan(token_ids=((1, 2),), places=(places_of_tokens(2, sequences=1),), widths={}, gated=True, token_name=None)


def test_a_shape_of_seven_billion_fits_sixteen_megabytes():
    layers, width, d_ff, heads = 32, 4096, 11008, 32
    kept = kept_layers(dict.fromkeys(range(layers), d_ff))
    assert kept == tuple(range(1, layers, 2))
    sizes = {
        "profile": (layers + 1) * width * 4,
        "residual-sketch": (layers + 1) * MOST_PLACES * (SKETCH_WIDTH + 4) + MOST_PLACES * 16,
        "neuron-activations": len(kept) * 2 * d_ff * LOOK_WIDTH + MOST_PLACES * 16,
        "attention-entropy": layers * heads * 4,
        "predictions": MOST_PLACES * (16 + MOST_LIKELY * (4 + 8)),
    }
    assert sum(sizes.values()) < 16 * MEGABYTE
    packed = pack_arrays({"sketch": np.zeros((layers + 1, MOST_PLACES, SKETCH_WIDTH), np.int8)}, {})
    assert len(packed) < sizes["residual-sketch"] + 4096
