"""The limits and spellings of the schemas are those of the code, and their pages name them."""

import re

import pytest
from hypothesis import given, strategies
from jsonschema import Draft202012Validator
from schema_files import NAMES, SCHEMAS, objects

from attest import coverage, digest, document, evidence, evidence_directory, evidence_summary
from attest.checkpoint import checkpoint, tensor, tree
from attest.compare import resampling
from attest.licenses import repository, source, summary, walk
from attest.panel import MIN_PAIRS
from attest.resource import resource

LIMITS_OF_THE_CODE = {
    ("evidence", "CheckpointSummary", "files", "maxItems"): evidence.MAX_LISTED_FILES,
    ("evidence", "CheckpointSummary", "fileCount", "maximum"): tree.MAX_FILES,
    ("evidence", "CheckpointSummary", "ignored", "maxItems"): tree.MAX_IGNORED,
    ("evidence", "TensorSummary", "unmapped", "maxItems"): evidence_summary._MAX_UNMAPPED,
    ("evidence", "LicenseSummary", "findings", "maxItems"): summary.MAX_SUMMARY,
    ("evidence", "Finding", "text", "maxLength"): source.MAX_TEXT,
    ("evidence", "Detail", "size", "maximum"): evidence_directory.MAX_DETAIL,
    ("evidence", "DetailName", "", "pattern"): f"^{evidence_directory._DETAIL_NAME.pattern}$",
    ("evidence", "Path", "", "maxLength"): tree.MAX_PATH,
    ("evidence", "CheckpointSummary", "name", "maxLength"): tree.MAX_PATH,
    ("evidence", "TensorName", "", "maxLength"): tensor.MAX_NAME,
    ("detail", "Chunk", "size", "maximum"): digest.CHUNK_SIZE,
    ("detail", "TensorRow", "dtype", "pattern"): tensor.DTYPE_PATTERN,
    ("detail", "LicenseDetail", "filesScanned", "maximum"): walk.MAX_ENTRIES,
    ("detail", "ScannedFile", "path", "maxLength"): walk._MAX_PATH,
    ("comparison", "NullDistribution", "resamples", "minimum"): resampling.MIN_RESAMPLES,
    ("comparison", "NullDistribution", "resamples", "maximum"): resampling.MAX_RESAMPLES,
    ("comparison", "NullDistribution", "edges", "maxItems"): len(resampling._EDGES),
    ("comparison", "Test", "normalPvalue", "minimum"): resampling._SMALLEST_NORMAL_P,
}


@pytest.mark.parametrize("place", LIMITS_OF_THE_CODE, ids="-".join)
def test_limits_are_those_of_the_code(place: tuple[str, str, str, str]):
    name, definition, property_name, keyword = place
    node = SCHEMAS[name]["$defs"][definition]
    node = node["properties"][property_name] if property_name else node
    assert node[keyword] == LIMITS_OF_THE_CODE[place]


def test_limits_that_the_pages_state():
    page = resource("schemas/detail.v1.md").read_text(encoding="utf-8")
    assert f"at most {repository.MAX_PER_CODE:,} of one code, and {repository.MAX_PER_FILE:,} of one detector" in page
    page = resource("schemas/evidence.v1.md").read_text(encoding="utf-8")
    assert f"at most {checkpoint.MAX_FINDINGS} of one code" in page
    assert f"nesting deeper than {document.MAX_DEPTH};" in page


def test_the_fewest_pairs_that_the_pages_state():
    for name in ("comparison", "panel"):
        assert f"at least {MIN_PAIRS} " in resource(f"schemas/{name}.v1.md").read_text(encoding="utf-8")


def test_the_pages_name_every_property():
    pages = "".join(resource(f"schemas/{name}.v1.md").read_text(encoding="utf-8") for name in NAMES)
    properties = {key for schema in SCHEMAS.values() for node in objects(schema) for key in node.get("properties", {})}
    assert [key for key in sorted(properties) if f"`{key}`" not in pages and f".{key}`" not in pages] == []


def anchors(page: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_links_into_the_pages_lead_to_headings(name: str):
    page = resource(f"schemas/{name}.v1.md").read_text(encoding="utf-8")
    for file, anchor in re.findall(r"\]\(([a-z.0-9]*\.md)?#([^)]+)\)", page):
        target = resource(f"schemas/{file}").read_text(encoding="utf-8") if file else page
        assert anchor in anchors(target), (file, anchor)


def accepts(definition: str, value: str) -> bool:
    return Draft202012Validator(SCHEMAS["evidence"]["$defs"][definition]).is_valid(value)


@given(strategies.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_is_written_is_a_decimal(value: float):
    assert accepts("Decimal", document.decimal(value))


@pytest.mark.parametrize("text", ["-0", "1.0", "01", "+1", ".5", "1e5", "1E+05", "nan", "inf", "", " 1", "0x1", "1,5"])
def test_other_spellings_of_a_number_are_no_decimal(text: str):
    assert not accepts("Decimal", text)


@given(strategies.text(alphabet="ab./\\\n\x00 é", max_size=8))
def test_a_path_that_a_reader_takes_is_of_the_schema(path: str):
    ends_in_newline = path.endswith("\n")  # Python's $ lets it pass, that of ECMA-262 and so of JSON Schema does not
    assert ends_in_newline or accepts("Path", path) == coverage._is_plain(path)


@pytest.mark.parametrize("text", ["2026-01-02 03:04:05Z", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05+00:00"])
def test_other_spellings_of_a_time_are_no_timestamp(text: str):
    assert not accepts("Timestamp", text)
