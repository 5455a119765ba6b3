"""Record, schema and example are equal."""

import copy
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from schema_files import EXAMPLES, NAMES, SCHEMAS, objects

from attest import document
from attest.attestation_result import ATTESTATION_RESULT_TYPE, AttestationResult
from attest.comparison import COMPARISON_TYPE, Comparison
from attest.errors import DocumentError
from attest.evidence import EVIDENCE_TYPE, ChunkList, Evidence, TensorList
from attest.licenses.summary import LicenseDetail
from attest.panel import Panel
from attest.policy_file import POLICY_TYPE, Policy
from attest.protocol import PROTOCOL_TYPE, Protocol
from attest.repository_scan import REPOSITORY_SCAN_TYPE, NoticeDetail, OriginDetail, RepositoryScan
from attest.resource import resource
from attest.trust_policy import TRUST_POLICY_TYPE, TrustPolicy

ROOT = Path(__file__).resolve().parent.parent
ACTIVATIONS = {
    "id": "activation-profile/v1",
    "promptSet": "random-tokens",
    "promptSetSha256": "09abec4133868b2fad25b639e1987bb20091fd0cdae4eba3769b80c0510a91c1",
    "sequences": 8,
    "tokens": 1024,
    "tokenIdsSha256": "1" * 64,
    "dtype": "float32",
    "device": "cpu",
    "threads": 1,
    "seed": 0,
    "versions": {"torch": "2.13.0"},
    "tolerance": "1e-05",
    "table": {"columns": ["layer", "rms", "mean_abs"], "rows": [["0", "0.0192", "0.0151"]]},
    "detail": "detail/activations.safetensors",
    "fingerprints": [
        {
            "id": "attention-entropy/v1",
            "detail": "detail/attention-entropy.v1.safetensors",
            "notMeasured": None,
            "table": {"columns": ["layer", "mean", "least", "greatest"], "rows": [["0", "2.1", "1.4", "2.9"]]},
        }
    ],
}


@dataclass(frozen=True, kw_only=True)
class Document:
    """One kind of document: its record, its schema, and a value in which nothing is null that need not be."""

    record: Any
    schema: dict[str, Any]
    example: Any
    value: Any


def part(definition: str) -> dict[str, Any]:
    """Schema of one detail file."""
    return {"$ref": f"#/$defs/{definition}", "$defs": SCHEMAS["detail"]["$defs"]}


def few_tensors() -> Any:
    """The first two tensors, outside the layers and inside, the first as if it were an expert's, and quantized."""
    rows = copy.deepcopy(EXAMPLES["detail"]["detail/tensors.json"]["tensors"][:2])
    rows[0]["expert"] = 3
    rows[0]["quantization"] = {"codes": [1] * 16, "scales": rows[0]["moments"], "minima": rows[0]["moments"]}
    return {"tensors": rows}


def with_ignored_finding() -> Any:
    value = copy.deepcopy(EXAMPLES["evidence"]) | {"activations": ACTIVATIONS}
    value["checkpoint"]["ignored"] = [".git"]
    value["checkpoint"]["source"] = {"uri": "hf://org/name", "revision": "main", "commit": "0" * 40}
    value["checkpoint"]["files"][0]["serverSha256"] = "0" * 64
    value["checkpoint"]["findings"] = [{"code": "unsafe-file", "path": "a.bin", "line": None, "text": "not opened"}]
    value["tensors"]["unmapped"] = ["a"]
    return value


DETAILS = EXAMPLES["detail"]
DOCUMENTS = {
    "evidence": Document(
        record=Evidence,
        schema=SCHEMAS["evidence"],
        example=EXAMPLES["evidence"],
        value=with_ignored_finding(),
    ),
    "comparison": Document(
        record=Comparison,
        schema=SCHEMAS["comparison"],
        example=EXAMPLES["comparison"],
        value=EXAMPLES["comparison"] | {"tests": EXAMPLES["comparison"]["tests"][:2]},
    ),
    "policy": Document(record=Policy, schema=SCHEMAS["policy"], example=EXAMPLES["policy"], value=EXAMPLES["policy"]),
    "protocol": Document(
        record=Protocol, schema=SCHEMAS["protocol"], example=EXAMPLES["protocol"], value=EXAMPLES["protocol"]
    ),
    "panel": Document(record=Panel, schema=SCHEMAS["panel"], example=EXAMPLES["panel"], value=EXAMPLES["panel"]),
    "chunks": Document(
        record=ChunkList,
        schema=part("ChunkList"),
        example=DETAILS["detail/chunks.json"],
        value={"files": [{"path": "a", "chunks": DETAILS["detail/chunks.json"]["files"][1]["chunks"][:2]}]},
    ),
    "tensors": Document(
        record=TensorList, schema=part("TensorList"), example=DETAILS["detail/tensors.json"], value=few_tensors()
    ),
    "licenses": Document(
        record=LicenseDetail,
        schema=part("LicenseDetail"),
        example=DETAILS["detail/licenses.json"],
        value=DETAILS["detail/licenses.json"],
    ),
    "notices": Document(
        record=NoticeDetail,
        schema=part("NoticeDetail"),
        example=DETAILS["detail/notices.json"],
        value=DETAILS["detail/notices.json"],
    ),
    "origins": Document(
        record=OriginDetail,
        schema=part("OriginDetail"),
        example=DETAILS["detail/origins.json"],
        value=DETAILS["detail/origins.json"],
    ),
}
DOCUMENTS |= {
    name: Document(record=record, schema=SCHEMAS[name], example=EXAMPLES[name], value=EXAMPLES[name])
    for name, record in (
        ("attestation-result", AttestationResult),
        ("trust-policy", TrustPolicy),
        ("repository-scan", RepositoryScan),
    )
}
EVERY_DOCUMENT = pytest.mark.parametrize("kind", DOCUMENTS.values(), ids=DOCUMENTS.keys())

SAID = {"$schema", "$id", "$defs", "title", "description", "format", "default"}
LIMITS = {
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
}
STRUCTURE = {"$ref", "type", "const", "enum", "anyOf", "properties", "required", "additionalProperties", "items"}


def resolve(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A node with what it refers to."""
    if "$ref" not in node:
        return node
    target = defs[node["$ref"].removeprefix("#/$defs/")]
    return resolve(target, defs) | {key: value for key, value in node.items() if key != "$ref"}


def structure(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """What a schema demands of types and properties, in one spelling; a keyword that is not known here is an error."""
    node = resolve(node, defs)
    assert not set(node) - SAID - LIMITS - STRUCTURE - {"propertyNames"}, node
    if "anyOf" in node or isinstance(node.get("type"), list):
        options = node.get("anyOf") or [{"type": kind} for kind in node["type"]]
        return {"anyOf": sorted((structure(option, defs) for option in options), key=json.dumps)}
    if "const" in node or "enum" in node:
        return {"enum": sorted(node.get("enum", [node.get("const")]))}
    if node["type"] == "array":
        return {"items": structure(node["items"], defs)}
    if node["type"] != "object":
        return {"type": node["type"]}
    if "properties" not in node:
        return {"values": structure(node["additionalProperties"], defs)}
    assert node["additionalProperties"] is False
    return {
        "properties": {name: structure(value, defs) for name, value in sorted(node["properties"].items())},
        "required": sorted(node["required"]),
    }


def structure_of_record(record: Any) -> dict[str, Any]:
    schema = document.adapter(record).json_schema(by_alias=True)
    return structure(schema, schema["$defs"])


@EVERY_DOCUMENT
def test_record_and_schema_have_the_same_structure(kind: Document):
    assert structure(kind.schema, kind.schema["$defs"]) == structure_of_record(kind.record)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_of_2020_12(name: str):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_schema_is_named_as_the_predicate():
    assert SCHEMAS["evidence"]["$id"] == EVIDENCE_TYPE
    assert SCHEMAS["comparison"]["$id"] == COMPARISON_TYPE
    assert SCHEMAS["policy"]["$id"] == POLICY_TYPE
    assert SCHEMAS["protocol"]["$id"] == PROTOCOL_TYPE
    assert SCHEMAS["repository-scan"]["$id"] == REPOSITORY_SCAN_TYPE
    assert SCHEMAS["attestation-result"]["$id"] == ATTESTATION_RESULT_TYPE
    assert SCHEMAS["trust-policy"]["$id"] == TRUST_POLICY_TYPE


@pytest.mark.parametrize("name", NAMES)
def test_every_property_is_described_and_every_definition_has_a_title(name: str):
    schema = SCHEMAS[name]
    for title_bearer in (schema, *schema["$defs"].values()):
        assert title_bearer["title"]
        assert title_bearer["description"]
    for node in objects(schema):
        for property_name, value in node.get("properties", {}).items():
            assert resolve(value, schema["$defs"])["description"], property_name


@pytest.mark.parametrize("name", NAMES)
def test_every_definition_is_used(name: str):
    used = {node["$ref"].removeprefix("#/$defs/") for node in objects(SCHEMAS[name]) if "$ref" in node}
    assert used == set(SCHEMAS[name]["$defs"])


def test_definitions_of_one_name_are_the_same_in_all_schemas():
    found: dict[str, Any] = {}
    for schema in SCHEMAS.values():
        for name, value in schema["$defs"].items():
            assert found.setdefault(name, value) == value, name
    assert {"Sha256", "Finding", "Tool"} <= set(found)


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_example_is_of_its_schema(name: str):
    Draft202012Validator(SCHEMAS[name]).validate(EXAMPLES[name])


@EVERY_DOCUMENT
def test_an_example_loads_and_dumps_back_to_itself(kind: Document):
    for value in (kind.example, kind.value):
        Draft202012Validator(kind.schema).validate(value)
        assert document.dump(document.load(kind.record, value, where="example")) == value


JSON_TYPES = {"null": None, "boolean": True, "integer": 7, "number": 0.5, "string": "x", "array": [], "object": {}}


def types_of(shape: dict[str, Any]) -> set[str]:
    """JSON types that a structure allows."""
    if "anyOf" in shape:
        return set().union(*(types_of(option) for option in shape["anyOf"]))
    if "enum" in shape:
        return set()
    if "items" in shape:
        return {"array"}
    if "values" in shape or "properties" in shape:
        return {"object"}
    return {"number", "integer"} if shape["type"] == "number" else {shape["type"]}


def holding(shape: dict[str, Any], value: Any) -> dict[str, Any]:
    """The option of a structure that a value takes."""
    options = [one for one in shape.get("anyOf", [shape]) if value is None or one != {"type": "null"}]
    return options[0]


def places(value: Any, shape: dict[str, Any], path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple, Any, Any]]:
    """Every place in a value with its structure."""
    yield path, value, shape
    shape = holding(shape, value)
    if isinstance(value, dict):
        for name, child in value.items():
            yield from places(child, shape["values"] if "values" in shape else shape["properties"][name], (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from places(child, shape["items"], (*path, index))


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """A copy of a value with another one at a place."""
    if not path:
        return new
    result = copy.copy(value)
    result[path[0]] = changed(value[path[0]], path[1:], new)
    return result


def spoiled(kind: Document) -> Iterator[tuple[str, Any]]:
    """Values each wrong in one place; places that differ only in an index are tried once."""
    tried = set()
    for path, value, shape in places(kind.value, structure_of_record(kind.record)):
        kinds_of_place = tuple("*" if isinstance(step, int) else step for step in path)
        if (kinds_of_place, value is None) in tried:
            continue
        tried.add((kinds_of_place, value is None))
        where = "/".join(map(str, path))
        for name, other in JSON_TYPES.items():
            if name not in types_of(shape):
                yield f"{where} is {name}", changed(kind.value, path, other)
        for name in holding(shape, value).get("required", ()) if isinstance(value, dict) else ():
            left = {key: item for key, item in value.items() if key != name}
            yield f"{where} without {name}", changed(kind.value, path, left)
        if "required" in holding(shape, value) and value is not None:
            yield f"{where} with another", changed(kind.value, path, value | {"another": 0})


@EVERY_DOCUMENT
def test_schema_and_record_refuse_the_same(kind: Document):
    validator = Draft202012Validator(kind.schema)
    count = 0
    for what, value in spoiled(kind):
        assert not validator.is_valid(value), what
        with pytest.raises(DocumentError) as refused:
            document.load(kind.record, value, where="spoiled")
        assert refused.value.code == "not-of-schema", what
        count += 1
    assert count > 50


def test_the_examples_are_what_the_script_measures_and_writes():
    spec = importlib.util.spec_from_file_location("examples", ROOT / "scripts" / "update_schema_examples.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name, value in script.examples().items():
        written = resource(f"schemas/{name}").read_text(encoding="utf-8")
        assert json.loads(written) == value, name
        assert written == script.layout(value) + "\n", name
