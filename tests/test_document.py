from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from attest.document import JSON, MAX_DEPTH, adapter, canonical, decimal, dump, load, parse, record
from attest.errors import DocumentError

MIB = 1024 * 1024

# An integral float beyond 2**53 is written as an integer of shortest digits, which reads back as another number.
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) < 2**53 or not x.is_integer())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@record
class Inner:
    file_count: int
    label: str | None


@record
class Outer:
    inner_parts: tuple[Inner, ...]
    ratio: float
    counts: Mapping[str, int]


@record
class Only:
    only_part: Any


@given(VALUES)
def test_what_is_written_reads_back_equal(value: JSON):
    assert parse(canonical(value), where="x", max_bytes=MIB) == value


@given(VALUES)
def test_canonical_is_a_fixed_point(value: JSON):
    written = canonical(value)
    assert canonical(parse(written, where="x", max_bytes=MIB)) == written


@given(VALUES)
@example({"\ue000": 1, "\U0001f600": 2})
@example({"a": [1e16, -0.0, 5e-324, 1.0, 0.1, -1e-7, True, None, 2**53 - 1, -(2**53) + 1]})
@example([[999999999999999, -1000000000000000], {"": 1.0}, '":1.5', '\x00\x1f\x7f\u2028\\"/'])
def test_canonical_is_what_the_reference_writes(value: JSON):
    assert canonical(value) == rfc8785.dumps(value)


@given(st.binary() | st.text(alphabet='{}[]",:\\/0123456789eE+-. \n\x00tfnulrasNI\ufeff').map(str.encode))
def test_random_bytes_are_a_value_or_a_document_error(data: bytes):
    with suppress(DocumentError):
        assert parse(data, where="x", max_bytes=MIB) == json.loads(data)


@given(VALUES, st.data())
def test_a_damaged_document_is_a_value_or_a_document_error(value: JSON, data: st.DataObject):
    written = bytearray(canonical(value))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] = data.draw(st.integers(0, 255))
    with suppress(DocumentError):
        assert parse(bytes(written), where="x", max_bytes=MIB) == json.loads(written)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b'{"a":1,"a":1}', "duplicate-key", id="duplicate key"),
        pytest.param(b'{"a":1,"\\u0061":1}', "duplicate-key", id="duplicate key, once escaped"),
        pytest.param(b'[{"x":{"a":1,"b":2,"a":3}}]', "duplicate-key", id="duplicate key inside"),
        pytest.param(b"NaN", "not-finite", id="NaN"),
        pytest.param(b"[-Infinity]", "not-finite", id="infinity"),
        pytest.param(b"1e999", "not-finite", id="number beyond binary64"),
        pytest.param(b"-1E400", "not-finite", id="negative number beyond binary64"),
        pytest.param(b"9" * 5000, "not-json", id="integer of 5,000 digits"),
        pytest.param(b'"\\ud800"', "not-utf-8", id="lone surrogate"),
        pytest.param(b'{"\\udfff":1}', "not-utf-8", id="lone surrogate in a key"),
        pytest.param(b'"\xff"', "not-utf-8", id="not UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', "not-utf-8", id="surrogate in UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", "not-json", id="byte order mark"),
        pytest.param('"a"'.encode("utf-16"), "not-utf-8", id="UTF-16"),
        pytest.param(b"{}{}", "not-json", id="trailing document"),
        pytest.param(b"{}\x00", "not-json", id="trailing NUL"),
        pytest.param(b"", "not-json", id="empty"),
        pytest.param(b"{'a':1}", "not-json", id="single quotes"),
        pytest.param(b"[1,]", "not-json", id="trailing comma"),
        pytest.param(b"// a\n1", "not-json", id="comment"),
        pytest.param(b'"a\nb"', "not-json", id="raw newline in a string"),
        pytest.param(b"[" * 10_000 + b"]" * 10_000, "too-deep", id="10,000 lists"),
        pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too-deep", id="10,000 objects"),
        pytest.param(b"[" * 10_000, "too-deep", id="10,000 lists, never closed"),
        pytest.param(b'"\\"", [[' + b"[" * 10_000, "too-deep", id="depth behind an escaped quote"),
        pytest.param(b" " * (MIB + 1), "document-too-large", id="too large"),
    ],
)
def test_is_refused(data: bytes, code: str):
    with pytest.raises(DocumentError) as caught:
        parse(data, where="x", max_bytes=MIB)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b'"' + b'\\"' * 4_000_000, "not-json", id="escaped quotes without an end"),
        pytest.param(b'"' * 4_000_001, "not-json", id="quotes"),
        pytest.param(
            b"{" + b",".join(b'"%d":1' % i for i in range(400_000)) + b',"399999":1}', "duplicate-key", id="many keys"
        ),
    ],
)
def test_large_hostile_input_takes_linear_time(data: bytes, code: str):
    # Quadratic time would be hours here; the test then never ends.
    with pytest.raises(DocumentError) as caught:
        parse(data, where="x", max_bytes=len(data))
    assert caught.value.code == code


def test_the_greatest_depth_is_read():
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse(data, where="x", max_bytes=MIB)
    with pytest.raises(DocumentError):
        parse(b"[" + data + b"]", where="x", max_bytes=MIB)


def test_brackets_in_strings_are_not_depth():
    text = '["\\' * 100 + "[{" * 100
    assert parse(json.dumps(text).encode(), where="x", max_bytes=MIB) == text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(math.nan, id="NaN"),
        pytest.param(math.inf, id="infinity"),
        pytest.param(2**53, id="integer beyond 2**53 - 1"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param({"\ud800": 1}, id="lone surrogate in a key"),
        pytest.param([[math.nan]], id="NaN inside"),
        pytest.param({"a": [-(2**53)]}, id="integer below -2**53 + 1"),
        pytest.param(["\ud800"], id="lone surrogate inside"),
        pytest.param([b""], id="bytes"),
    ],
)
def test_what_cannot_be_canonical_is_a_document_error(value: JSON):
    with pytest.raises(DocumentError):
        canonical(value)


def test_a_record_reads_and_writes_camel_case():
    value = {"innerParts": [{"fileCount": 3, "label": None}], "ratio": 0.5, "counts": {"F32": 2}}
    loaded = load(Outer, value, where="x")
    assert loaded == Outer(inner_parts=(Inner(file_count=3, label=None),), ratio=0.5, counts={"F32": 2})
    assert dump(loaded) == value == adapter(Outer).dump_python(loaded, mode="json")


@given(
    st.text(), NUMBERS, st.dictionaries(st.text(), st.integers(1 - 2**53, 2**53 - 1)), st.lists(st.none() | st.text())
)
@example('\x00\x1f\x7f\u2028\\"/%s', -0.0, {"\ue000": 1, "\U0001f600": 2}, [])
def test_a_record_is_written_as_the_reference_writes_it(
    text: str, ratio: float, counts: dict[str, int], labels: list[str | None]
):
    inner = tuple(Inner(file_count=at, label=label) for at, label in enumerate([text, *labels]))
    for value in (Outer(inner_parts=inner, ratio=ratio, counts=counts), Only(only_part=inner[0]), Only(only_part=None)):
        assert canonical(value) == rfc8785.dumps(dump(value))


@pytest.mark.parametrize(
    "value", [Inner(file_count=2**53, label=None), Inner(file_count=1, label="\ud800"), Only(only_part=math.nan)]
)
def test_a_record_that_cannot_be_canonical_is_a_document_error(value: Any):
    with pytest.raises(DocumentError):
        canonical(value)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        pytest.param([], "x#", id="not an object"),
        pytest.param({"fileCount": 3}, "x#/label", id="a field is missing"),
        pytest.param({"fileCount": 3, "label": None, "more": 1}, "x#/more", id="a field too many"),
        pytest.param({"file_count": 3, "label": None}, "x#/fileCount", id="snake case"),
        pytest.param({"fileCount": "3", "label": None}, "x#/fileCount", id="text for a number"),
        pytest.param({"fileCount": 3.0, "label": None}, "x#/fileCount", id="float for an integer"),
        pytest.param({"fileCount": True, "label": None}, "x#/fileCount", id="truth for an integer"),
        pytest.param({"fileCount": 3, "label": 4}, "x#/label", id="number for text"),
        pytest.param({"fileCount": 3, "label": None, "a/b~c": 1}, "x#/a~1b~0c", id="a name that JSON Pointer escapes"),
    ],
)
def test_a_record_of_another_shape_is_refused_by_place(value: JSON, where: str):
    with pytest.raises(DocumentError) as caught:
        load(Inner, value, where="x")
    assert (caught.value.code, caught.value.where) == ("not-of-schema", where)


def test_faults_are_counted():
    with pytest.raises(DocumentError, match=r"\(and 9 more\)"):
        load(tuple[Inner, ...], [1] * 10, where="x")
    with pytest.raises(DocumentError, match="2000 faults"):
        load(tuple[Inner, ...], [1] * 2000, where="x")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.0, "0"), (1 / 3, "0.333333333"), (1e-7, "1e-07"), (123456789.4, "123456789")]
)
def test_decimal_is_fixed_text(value: float, text: str):
    assert decimal(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_seventeen_digits_read_back(value: float):
    assert float(decimal(value, 17)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_decimal_refuses_what_is_no_number(value: float):
    with pytest.raises(DocumentError):
        decimal(value)
