"""Every export, held against the official schema or bindings of its format; SARIF against what its standard demands."""

import importlib.resources
import importlib.util
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from git_repository import commit
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from jsonschema.protocols import Validator
from known_license import license_words
from licenses.export.sarif_shape import SARIF
from programs import program
from referencing import Registry, Resource

from attest.cli import main
from attest.document import parse
from attest.evidence import Tool
from attest.finding import Finding
from attest.license_summary import ScannedFile
from attest.licenses.export import EXPORTS, Content
from attest.licenses.kind import KINDS
from attest.licenses.repository import Scan
from attest.licenses.scopes import scopes
from attest.repository_scan import Origin

TOOL = Tool(name="attest", version="0.1.0", source_sha256="0" * 64)
HOSTILE = 'a \u202e"]\n{0} [x](http://127.0.0.1) \\ </script> \x7f \U0001f600'


def folder_of(package: str) -> Path:
    """Where a package lies, which is read and not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])


@pytest.fixture(scope="module")
def cyclonedx() -> Validator:
    folder = folder_of("cyclonedx") / "schema" / "_res"
    schemas = [json.loads(path.read_bytes()) for path in folder.glob("*.SNAPSHOT.schema.json")]
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas if "$id" in schema
    )
    schema = json.loads((folder / "bom-1.7.SNAPSHOT.schema.json").read_bytes())
    return Draft7Validator(schema, registry=registry)


@pytest.fixture(scope="module")
def sarif() -> Validator:
    return Draft7Validator(SARIF)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every format of a repository that declares, holds and lacks something, by the command."""
    root = tmp_path_factory.mktemp("exported")
    header = "# Copyright 2024 Upstream Team\n# SPDX-License-Identifier: MIT\n"
    repository, upstream = root / "repository", root / "upstream"
    files = {
        "README.md": "---\nlicense: apache-2.0\n---\n",
        "LICENSE": license_words("Apache-2.0"),
        "a b/*.py": program(1, 2).replace("#", ""),
        "own.py": '# SPDX-License-Identifier: mit or NOASSERTION-x\n# Copyright 2025 \u202e "O\'N" \\\n' + header,
    }
    commit(repository, files)
    commit(upstream, {"m.py": header + program(1, 2)})
    runs = {}
    for style in EXPORTS:
        words = ["scan", str(repository), "--against", str(upstream), "--format", style]
        done = CliRunner().invoke(main, words, env={"SOURCE_DATE_EPOCH": "1767323045"})
        assert done.exit_code == 0, done.output
        runs[style] = done.output
    return runs


def test_what_is_printed_can_be_shown_and_does_not_change(content: dict[str, str]):
    for style, text in content.items():
        assert all(one.isprintable() or one == "\n" for one in text), style
    again = Content(
        name="a",
        tree_digest="0" * 64,
        scan=scan_of([]),
        scopes=(),
        origins=(),
        notices=(),
        tool=TOOL,
        created="2026-01-02T03:04:05Z",
    )
    assert {style: export(again) for style, export in EXPORTS.items()} == {
        style: export(again) for style, export in EXPORTS.items()
    }


def test_sarif_is_of_its_schema(content: dict[str, str], sarif: Validator):
    value = json.loads(content["sarif"])
    sarif.validate(value)
    (run,) = value["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [one["ruleId"] for one in run["results"]]
    assert {kind.code for kind in KINDS} < set(rules)
    assert {result["level"] for result in run["results"]} == {"none"}
    missing = [one for one in run["results"] if one["ruleId"] == "origin-notice-missing"]
    assert [one["kind"] for one in missing] == ["review"]
    assert "Upstream Team" in missing[0]["message"]["text"]
    uris = {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for one in run["results"]
        if "locations" in one
    }
    assert "a%20b/%2A.py" in uris


def test_cyclonedx_is_of_its_schema(content: dict[str, str], cyclonedx: Validator):
    value = json.loads(content["cyclonedx"])
    cyclonedx.validate(value)
    assert value["metadata"]["component"]["licenses"] == [{"expression": "Apache-2.0", "acknowledgement": "declared"}]
    evidence = {file["name"]: file.get("evidence", {}) for file in value["components"]}
    assert evidence["LICENSE"] == {"licenses": [{"expression": "Apache-2.0"}]}
    assert {"text": "Copyright 2024 Upstream Team"} in evidence["own.py"]["copyright"]
    parts = {one["name"]: one for one in value["metadata"]["component"]["components"]}
    assert parts["repository: weights"]["type"] == "machine-learning-model"
    assert parts["repository: weights"]["licenses"] == [{"expression": "Apache-2.0", "acknowledgement": "declared"}]
    assert parts["repository: code"]["evidence"] == {"licenses": [{"expression": "MIT"}]}


def test_spdx_is_read_by_the_official_bindings(content: dict[str, str]):
    model = pytest.importorskip("spdx_python_model").v3_0_1
    objects = model.SHACLObjectSet()
    model.JSONLDDeserializer().read(io.StringIO(content["spdx"]), objects)
    objects.link()
    files = {one.name: one for one in objects.foreach_type(model.software_File)}
    assert {"LICENSE", "README.md", "own.py"} <= set(files)
    (document,) = objects.foreach_type(model.SpdxDocument)
    (package,) = document.rootElement
    assert package.name == "repository"
    licenses = {
        getattr(relation.from_, "name", ""): {one.simplelicensing_licenseExpression for one in relation.to}
        for relation in objects.foreach_type(model.Relationship)
        if relation.relationshipType == model.RelationshipType.hasDeclaredLicense
    }
    assert licenses == {
        "repository": {"Apache-2.0"},
        "repository: weights": {"Apache-2.0"},
        "repository: code": {"MIT"},
        "LICENSE": {"Apache-2.0"},
        "own.py": {"MIT"},
    }
    purposes = {one.name: one.software_primaryPurpose for one in objects.foreach_type(model.software_Package)}
    assert purposes["repository: weights"] == model.software_SoftwarePurpose.model
    kinds = {relation.relationshipType for relation in objects.foreach_type(model.Relationship)}
    assert model.RelationshipType.hasConcludedLicense not in kinds


def test_reuse_is_a_toml_of_annotations(content: dict[str, str]):
    value = tomllib.loads(content["reuse"])
    assert value["version"] == 1
    rows = {row["path"]: row for row in value["annotations"]}
    assert rows["LICENSE"] == {"path": "LICENSE", "precedence": "closest", "SPDX-License-Identifier": ["Apache-2.0"]}
    assert rows["own.py"]["SPDX-License-Identifier"] == ["MIT"]
    assert "Copyright 2024 Upstream Team" in rows["own.py"]["SPDX-FileCopyrightText"]
    assert any("\u202e" in line for line in rows["own.py"]["SPDX-FileCopyrightText"])


def scan_of(findings: list[Finding]) -> Scan:
    paths = sorted({finding.path for finding in findings})
    files = tuple(ScannedFile(path=path, sha256="0" * 64, blob="0" * 40) for path in paths)
    return Scan(files_scanned=len(files), files_skipped={}, findings=tuple(findings), files=files, identified=())


words = st.one_of(st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").decode()), st.just(HOSTILE))
findings = st.builds(
    Finding,
    code=st.sampled_from([kind.code for kind in KINDS]),
    path=words.filter(bool),
    line=st.none() | st.integers(1, 10**6),
    text=words,
)


@settings(max_examples=25)
@given(st.lists(findings, max_size=6), words)
def test_hostile_words_make_no_other_document(sarif: Validator, cyclonedx: Validator, found: list[Finding], name: str):
    origin = Origin(
        path=name or "a", tokens=90, common="0.5", identical=False, origin=name or "a", containment="1", reverse="1",
        blind_containment="1", runner_up=None, margin="1", percentile=None, nearest_percentile=None, both_percentile=None, missing_notices=(name,),
    )  # fmt: skip
    made = Content(
        name=name or "a", tree_digest="0" * 64, scan=scan_of(found), scopes=scopes(scan_of(found)), origins=(origin,), notices=(), tool=TOOL,
        created="2026-01-02T03:04:05Z",
    )  # fmt: skip
    texts = {style: export(made) for style, export in EXPORTS.items()}
    for text in texts.values():
        assert all(one.isprintable() or one == "\n" for one in text)
    sarif.validate(parse(texts["sarif"].encode(), where="sarif", max_bytes=2**22))
    cyclonedx.validate(parse(texts["cyclonedx"].encode(), where="cyclonedx", max_bytes=2**22))
    assert "@graph" in json.loads(texts["spdx"])
    assert tomllib.loads(texts["reuse"])["version"] == 1
