"""attest compare as its users call it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from adapters import pair, write_adapter
from click.testing import CliRunner
from relabeled import weights, write

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.cli import main
from attest.compare import compare
from attest.compare.announcement import DEEP_METHODS, METHODS, WEIGHT_METHODS
from attest.demo.weights import family
from attest.errors import CheckpointError
from attest.program import environment, this_tool
from attest.sides import read_side

FIELDS = {"id", "calibration", "statistic", "z", "pvalue", "n", "layers", "nullDistribution"}


def attest(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_text_says_what_was_found_and_what_it_does_not_show() -> None:
    code, text, errors = attest("compare", family() / "seed-1", family() / "seed-2")
    assert (code, errors) == (0, "")
    assert text.index("not compared") < text.index("conclusion  no-evidence") < text.index("what this does not show")
    assert "greatest 0.999704)" in text  # of norm-gain-cosine/v1, which is not rounded up to 1
    assert "descriptive" in text


def test_json_is_one_object_with_tests_and_a_conclusion() -> None:
    code, text, _ = attest("compare", family() / "seed-1", family() / "seed-1-continued", "--format", "json")
    value = json.loads(text)
    assert code == 0
    assert all(set(test) >= FIELDS for test in value["tests"])
    assert {test["calibration"] for test in value["tests"]} == {"exact", "empirical", "descriptive"}
    assert all(test["pvalue"] is None or isinstance(test["pvalue"], float) for test in value["tests"])
    assert all(set(item) == {"id", "reason"} for item in value["notCompared"])
    assert value["conclusion"]["rung"] == "exact-rejected"
    assert value["conclusion"]["policy"]["id"]


@pytest.mark.parametrize(
    ("other", "rung", "code"),
    [
        ("seed-1-continued", "exact-rejected", 1),
        ("seed-1-continued", "identical", 0),
        ("seed-2", "inconclusive", 0),
        ("seed-2", "no-evidence", 1),
        ("seed-1", "exact-rejected", 1),
    ],
)
def test_fail_on_a_rung_or_a_higher_one(other: str, rung: str, code: int) -> None:
    assert attest("compare", family() / "seed-1", family() / other, "--fail-on", rung)[0] == code


def test_result_and_evidence_are_written(tmp_path: Path) -> None:
    code, text, _ = attest(
        "compare", family() / "seed-1", family() / "seed-2", "--format", "json",
        "-o", tmp_path / "out.json", "--evidence", tmp_path / "evidence",
    )  # fmt: skip
    assert (code, text) == (0, "")
    assert json.loads((tmp_path / "out.json").read_bytes())["conclusion"]["rung"] == "no-evidence"
    assert (tmp_path / "evidence" / "statement.json").is_file()
    code, _, errors = attest("compare", family() / "seed-1", family() / "seed-2", "--evidence", tmp_path / "evidence")
    assert code == 3
    assert errors.startswith("error[output-exists]")


def test_a_missing_side_is_one_coded_line(tmp_path: Path) -> None:
    code, text, errors = attest("compare", family() / "seed-1", tmp_path / "nothing")
    assert (code, text) == (3, "")
    assert errors.startswith("error[no-checkpoint]")
    assert errors.count("\n") == 1


def test_with_the_weights_tensors_are_made_again(tmp_path: Path) -> None:
    source = family() / "seed-1"
    out = tmp_path / "c.json"
    code, _, errors = attest("compare", source, source, "--weights", "--format", "json", "-o", out)
    assert (code, errors) == (0, "")
    value = json.loads(out.read_text())
    tests = {test["id"]: test for test in value["tests"]}
    assert (tests["exact-replay/v1"]["statistic"], tests["exact-replay/v1"]["n"]) == (1, 29)
    assert tests["weight-delta/v1"]["statistic"] == 0
    run = {*tests, *(item["id"] for item in value["notCompared"])}
    assert run == {*METHODS, *DEEP_METHODS, *WEIGHT_METHODS}, "WEIGHT_TESTS names all that a test gives"
    assert {found["id"] for found in value["found"]} >= {"exact-replay/v1", "weight-delta/v1", "row-containment/v1"}
    assert "assigned-rank-correlation/v1" not in tests
    code, text, _ = attest("compare", source, source, "--weights", "--assignments")
    assert re.search(r"^assigned-rank-correlation/v1 +descriptive +1 ", text, re.MULTILINE)
    assert "exact-replay/v1: Tensors of b made again out of a" in text
    assert "more, in --format json" in text


def test_names_that_the_user_knows_are_tested_on_weights_too(tmp_path: Path) -> None:
    names = {"gate_proj": "door", "up_proj": "rise", "down_proj": "fall"}
    renamed = {
        re.sub("|".join(names), lambda found: names[found[0]], name): one for name, one in weights("seed-1").items()
    }
    checkpoint = write(renamed, tmp_path / "renamed")
    families = tmp_path / "mine.toml"
    roles = "\n".join(f'{old.removesuffix("_proj")} = ["mlp.{new}"]' for old, new in names.items())
    families.write_text(f'[mine]\ntitle = "Llama in other words"\nextends = "llama-like"\n[mine.inLayer]\n{roles}\n')
    words = ("compare", checkpoint, family() / "seed-1", "--weights", "--format", "json")
    given, without = (json.loads(attest(*words, *more)[1]) for more in (("--architecture", families), ()))
    z = {test["id"]: test["z"] for test in given["tests"]}
    assert min(z["neuron-alignment/v1"], z["recovered-signs/v1"]) > 20
    assert {"neuron-alignment/v1", "recovered-signs/v1"} <= {one["id"] for one in without["notCompared"]}


def test_weights_that_change_while_they_are_compared(tmp_path: Path) -> None:
    path = write(weights("seed-1"), tmp_path / "changing")
    opened = place_tensors(open_checkpoint(path))
    side = read_side(path)
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError) as caught:
        compare(side, side, tool=this_tool(), environment=environment(), weights=(opened, opened))
    assert caught.value.code == "file-changed"


def test_evidence_has_no_weights(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    assert attest("measure", family() / "seed-1", "-o", evidence)[0] == 0
    code, _, errors = attest("compare", family() / "seed-1", evidence, "--weights")
    assert code == 3
    assert "no-weights" in errors


def test_candidates_for_a_merge_need_the_weights() -> None:
    one, two, three = (family() / f"seed-{seed}" for seed in (1, 2, 3))
    assert attest("compare", one, two, "--parent", three)[0] == 2
    assert attest("compare", one, two, "--assignments")[0] == 2
    code, text, _ = attest("compare", one, one, "--weights", "--parent", three)
    assert code == 0
    assert "merge-coefficients/v1: Coefficients of the candidates in b" in text


def test_a_digest_in_a_table_is_whole() -> None:
    _, text, _ = attest(
        "compare", *(family() / one for one in ("seed-1", "seed-2")), "--weights", "--parent", family() / "seed-3"
    )
    [row] = [line for line in text.splitlines() if line.startswith("  seed-3 ")]
    assert re.search(r" [0-9a-f]{64} ", row)


def test_the_default_policy_is_shown_as_a_file_and_another_one_is_read(tmp_path: Path) -> None:
    code, text, _ = attest("compare", "--show-policy")
    assert code == 0
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(json.loads(text) | {"id": "mine/v1", "minimumZ": 1000}), encoding="utf-8")
    pair = (family() / "seed-1", family() / "seed-1-continued")
    code, text, _ = attest("compare", *pair, "--policy", file)
    assert code == 0
    assert "conclusion  matched-above-panel  (policy mine/v1)" in text
    assert "and the policy asks for 1000" in text
    assert "by the default one: exact-rejected" in text
    assert "by a policy that is not the default one, SHA-256" in text
    code, _, errors = attest("compare", *pair, "--policy", tmp_path / "nothing")
    assert code == 3
    assert errors.startswith("error[no-policy]")


def test_text_says_what_was_asked_how_rare_it_is_and_what_could_have_been_seen() -> None:
    _, text, _ = attest("compare", family() / "seed-1", family() / "seed-1-continued")
    for words in (
        "H1  One of the two derives",
        "H2  The two were trained independently",
        "hardly ever: at most once in 1,000 times",
        "copied unaltered (for a test by index in place) that give z = 6",
        "controls: itself must be found",
    ):
        assert words in text


def test_a_comparison_names_the_protocol_that_announced_it(tmp_path: Path) -> None:
    pair = (family() / "seed-1", family() / "seed-2")
    code, text, _ = attest("protocol", "--a", pair[0], "-o", tmp_path / "protocol", "--format", "json")
    digest = json.loads(text)["statementSha256"]
    assert code == 0
    code, text, _ = attest("compare", *pair, "--protocol", tmp_path / "protocol", "--format", "json")
    assert json.loads(text)["protocol"] == {"statementSha256": digest, "deviations": []}
    assert attest("compare", *pair, "--protocol", tmp_path / "protocol")[1].count("nothing deviates from it") == 1
    code, text, _ = attest("compare", pair[1], family() / "seed-3", "--protocol", tmp_path / "protocol")
    assert "deviates: a checkpoint of tree digest" in text


def test_the_policy_that_was_announced_is_the_one_that_is_read_by(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(json.loads(attest("compare", "--show-policy")[1]) | {"id": "mine/v1"}), encoding="utf-8")
    assert attest("protocol", "--policy", file, "-o", tmp_path / "protocol")[0] == 0
    pair = (family() / "seed-1", family() / "seed-2")
    assert "(policy mine/v1)" in attest("compare", *pair, "--protocol", tmp_path / "protocol")[1]
    file.write_text(file.read_text().replace("mine/v1", "other/v1"), encoding="utf-8")
    code, _, errors = attest("compare", *pair, "--protocol", tmp_path / "protocol", "--policy", file)
    assert code == 3
    assert errors.startswith("error[policy-not-announced]")


def test_a_policy_that_calls_itself_the_default_one_is_told_from_it(tmp_path: Path) -> None:
    lenient = json.loads(attest("compare", "--show-policy")[1]) | {"minimumZ": 1, "halfZ": 1, "alpha": 0.01}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(lenient), encoding="utf-8")
    pair = (family() / "seed-1", family() / "seed-2")
    assert "not the default one" in attest("compare", *pair, "--policy", file)[1]
    assert "not the default one" not in attest("compare", *pair)[1]


def test_a_protocol_binds_a_panel_and_takes_sides_from_evidence(tmp_path: Path) -> None:
    panel = tmp_path / "panel"
    panel.write_bytes(b"pairs")
    assert attest("measure", family() / "seed-1", "-o", tmp_path / "evidence")[0] == 0
    words = ("protocol", "--b", tmp_path / "evidence", "--panel", panel, "-o", tmp_path / "protocol")
    code, text, _ = attest(*words, "--format", "json")
    protocol = json.loads(text)["protocol"]
    assert code == 0
    assert protocol["b"]["name"] == "seed-1"
    assert protocol["panelSha256"] == hashlib.sha256(b"pairs").hexdigest()
    code, text, _ = attest(*words, "--force")
    assert "A           not yet named" in text
    code, _, errors = attest("protocol", "--panel", tmp_path, "-o", tmp_path / "another")
    assert code == 3
    assert errors.startswith("error[no-panel]")


def test_an_adapter_beside_its_base_is_named(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", pair("model.layers.0.mlp.gate_proj", 256, 96))
    code, _, errors = attest("compare", family() / "seed-1", adapter)
    assert code == 0
    assert errors.startswith("B is an adapter, which holds changes to a network and no network;")
    assert "attest measure ADAPTER --base BASE" in errors
    assert attest("compare", adapter, adapter)[2] == ""


def test_a_comparison_never_replaces_what_it_compares(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    assert attest("measure", family() / "seed-1", "-o", folder)[0] == 0
    for place in (folder, tmp_path):
        code, text, errors = attest("compare", folder, family() / "seed-2", "--evidence", place, "--force")
        assert (code, text) == (3, "")
        assert errors.startswith("error[checkpoint-in-output]: ")
    assert json.loads((folder / "statement.json").read_bytes())["predicateType"].endswith("evidence/v1")
