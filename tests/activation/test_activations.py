import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attest.activation
from attest.activation import (
    PROMPT_SETS,
    TOLERANCE,
    Activations,
    Options,
    compare_activations,
    measure_activations,
    read_prompts,
)
from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.digest import sha256
from attest.document import canonical
from attest.errors import AttestError, CheckpointError, DocumentError, IncomparableError
from attest.evidence import ActivationSummary, Table

FAMILY = Path(__file__).resolve().parents[1] / "data" / "family"
DETAIL = "detail/activations.safetensors"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "activation-profile-v1.json").read_text())


@pytest.fixture(scope="module")
def measured(bert: Path) -> Activations:
    return measure_activations(bert, read_prompts("general-en"))


@pytest.mark.torch
def test_the_same_machine_twice_gives_the_same_bytes(bert: Path, measured: Activations):
    again = measure_activations(bert, read_prompts("general-en"))
    assert (again.summary, again.details) == (measured.summary, measured.details)
    compared = compare_activations(measured, again)
    assert compared.outcome == "identical"
    profile = [one for one in compared.differences if "/" not in one.value]
    assert len(profile) == 4 * 3
    assert {one.layer for one in compared.differences if one.value == "residual-sketch/v1 sketch"} == {0, 1, 2, 3}


@pytest.mark.torch
def test_the_same_weights_as_torch_saves_them_give_the_same_numbers(qwen2: Path, tmp_path: Path):
    import torch  # noqa: PLC0415 - heavy
    from safetensors.torch import load_file  # noqa: PLC0415 - it imports torch

    torch.save(load_file(qwen2 / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((qwen2 / "config.json").read_bytes())
    found, expected = (measure_activations(folder, read_prompts("random-tokens")) for folder in (tmp_path, qwen2))
    assert (found.summary.table, found.details) == (expected.summary.table, expected.details)


@pytest.mark.torch
def test_the_numbers_are_those_of_the_definition(bert: Path, measured: Activations):
    import torch  # noqa: PLC0415 - heavy, here and below
    from transformers import BertModel  # noqa: PLC0415

    arrays = unpack_arrays(measured.details[DETAIL], where="detail")
    network = BertModel.from_pretrained(bert, dtype=torch.float64, add_pooling_layer=False, attn_implementation="eager")
    sequences = np.split(arrays["token_ids"], np.cumsum(arrays["sequence_lengths"])[:-1])
    with torch.inference_mode():
        runs = [network(torch.tensor(ids[None]), output_hidden_states=True).hidden_states for ids in sequences]
    for layer, row in enumerate(measured.summary.table.rows):
        states = torch.cat([run[layer][0] for run in runs]).numpy()
        expected = (math.sqrt(np.square(states).mean()), np.abs(states).mean())
        assert [float(cell) for cell in row] == pytest.approx([layer, *expected], rel=1e-5)
        assert arrays["mean_abs"][layer] == pytest.approx(np.abs(states).mean(axis=0), rel=1e-4)


@pytest.mark.torch
def test_the_summary_says_what_was_fed_and_with_what(bert: Path, measured: Activations):
    from tokenizers import Tokenizer  # noqa: PLC0415

    summary = measured.summary
    tokenizer = Tokenizer.from_file(str(bert / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    prompts = json.loads((Path(attest.activation.__file__).parent / "prompt_sets" / "general-en.json").read_text())
    fed = [tokenizer.encode(text).ids[:24] for text in prompts["texts"]]
    assert summary.token_ids_sha256 == sha256(canonical(fed))
    arrays = unpack_arrays(measured.details[DETAIL], where="detail")
    assert arrays["token_ids"].tolist() == [token for sequence in fed for token in sequence]
    assert (summary.sequences, summary.tokens) == (10, sum(map(len, fed)))
    assert (summary.dtype, summary.device, summary.threads, summary.seed) == ("float32", "cpu", 1, 0)
    assert summary.prompt_set_sha256 == PROMPT_SETS["general-en"]
    assert float(summary.tolerance) == TOLERANCE
    (cut,) = (finding for finding in measured.findings if finding.code == "prompts-cut")
    assert cut.text == "8 of 10 texts were cut after 24 tokens, which is all that was fed of them"
    assert {"numpy", "tokenizers", "torch", "transformers"} < set(summary.versions)


@pytest.mark.torch
def test_the_golden_profile_of_a_family_member_is_reproduced():
    """Another thread count than the golden one, so the tolerance is at work even on the machine that made it."""
    measured = measure_activations(FAMILY / "seed-1", read_prompts("random-tokens"), options=Options(threads=2))
    assert sha256((FAMILY / "seed-1" / "model.safetensors").read_bytes()) == GOLDEN["weights_sha256"]
    assert measured.summary.token_ids_sha256 == GOLDEN["token_ids_sha256"]
    golden = replace(
        measured,
        summary=replace(
            measured.summary,
            table=Table(columns=("layer", "rms", "mean_abs"), rows=tuple(map(tuple, GOLDEN["rows"]))),
        ),
    )
    assert compare_activations(golden, measured).outcome in {"identical", "within-tolerance"}
    assert measured.findings == ()


@pytest.mark.torch
def test_texts_need_a_tokenizer(qwen2: Path):
    with pytest.raises(CheckpointError) as caught:
        measure_activations(qwen2, read_prompts("general-en"))
    assert caught.value.code == "no-tokenizer"


def test_importing_the_room_loads_no_torch():
    code = "import sys, attest.activation; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def made(
    rows: tuple = (("0", "2", "1"), ("1", "4", "3")),
    mean_abs: tuple = ((1.0, 1.0), (3.0, 3.0)),
    **changes: object,
) -> Activations:
    """A profile of two layers and two dimensions, as if it had been read."""
    summary = ActivationSummary(
        id="activation-profile/v1",
        prompt_set="general-en",
        prompt_set_sha256="0" * 64,
        sequences=1,
        tokens=1,
        token_ids_sha256="1" * 64,
        dtype="float32",
        device="cpu",
        threads=1,
        seed=0,
        versions={},
        tolerance="1e-05",
        table=Table(columns=("layer", "rms", "mean_abs"), rows=rows),
        detail=DETAIL,
        fingerprints=(),
    )
    detail = pack_arrays({"mean_abs": np.array(mean_abs, dtype="<f4")}, {})
    return Activations(summary=replace(summary, **changes), details={DETAIL: detail})


def test_differences_are_relative_and_by_layer_and_value():
    again = made(rows=(("0", "2", "1"), ("1", "5", "3.00001")), mean_abs=((1.0, 1.0), (3.0, 2.25)))
    compared = compare_activations(made(), again)
    found = {(one.layer, one.value): (one.size, one.outcome) for one in compared.differences}
    assert found[0, "rms"] == (0, "identical")
    assert found[1, "rms"] == (0.25, "differs")
    assert found[1, "mean_abs"] == (pytest.approx(3.33e-6, rel=1e-2), "within-tolerance")
    assert found[1, "mean_abs_by_dimension"] == (0.25, "differs")
    assert compared.outcome == "differs"


def test_a_value_that_was_zero_differs_infinitely():
    compared = compare_activations(made(mean_abs=((0.0, 1.0), (3.0, 3.0))), made())
    assert compared.largest == math.inf
    assert compared.outcome == "differs"


def test_a_signer_can_narrow_the_tolerance_and_not_widen_it():
    assert compare_activations(made(tolerance="1"), made()).tolerance == TOLERANCE
    assert compare_activations(made(tolerance="1e-09"), made()).tolerance == 1e-9


@pytest.mark.parametrize(
    "again",
    [
        made(token_ids_sha256="2" * 64),
        made(prompt_set_sha256="2" * 64),
        made(id="activation-profile/v2"),
        made(rows=(("0", "2", "1"),), mean_abs=((1.0, 1.0),)),
        made(mean_abs=((1.0,), (3.0,))),
    ],
)
def test_profiles_of_other_inputs_or_sizes_are_not_compared(again: Activations):
    with pytest.raises(IncomparableError) as caught:
        compare_activations(made(), again)
    assert caught.value.code == "other-activations"


@pytest.mark.parametrize(
    "signed",
    [
        made(rows=()),
        made(rows=(("0", "2", "1"), ("2", "4", "3"))),
        made(rows=(("0", "2", "1"), ("1", "4"))),
        made(rows=(("0", "2", "1"), ("1", "nan", "3"))),
        made(rows=(("0", "2", "1"), ("1", "-4", "3"))),
        made(rows=(("0", "2", "1"), ("1", "much", "3"))),
        made(tolerance="inf"),
        made(mean_abs=((1.0, math.nan), (3.0, 3.0))),
        made(mean_abs=((1.0, 1.0),)),
        made(mean_abs=(1.0, 3.0)),
        made(table=Table(columns=("layer", "mean_abs", "rms"), rows=(("0", "2", "1"), ("1", "4", "3")))),
        replace(made(), details={DETAIL: pack_arrays({"other": np.zeros(3)}, {})}),
        replace(made(), details={}),
    ],
)
def test_a_malformed_signed_profile_is_refused(signed: Activations):
    with pytest.raises(DocumentError) as caught:
        compare_activations(signed, made())
    assert caught.value.code == "bad-activations"


@given(cells=st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=3), detail=st.binary(max_size=40))
def test_hostile_profiles_raise_only_our_errors(cells: list, detail: bytes):
    with pytest.raises(AttestError):
        compare_activations(replace(made(rows=tuple(cells)), details={DETAIL: detail}), made())
