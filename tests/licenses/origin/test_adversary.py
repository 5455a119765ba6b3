"""What the comparison of code must not say, however alike two files are."""

import textwrap

import pytest
from programs import program

from attest.licenses.origin import compare_code, origin_text
from attest.licenses.origin.null import first_word
from attest.licenses.origin.tokens import fingerprint
from attest.licenses.source import Source
from attest.repository_scan import Origin

LICENSE = "Licensed under the Apache License, Version 2.0; you may not use this file except in compliance. " * 12


def sources(files: dict[str, str]) -> list[Source]:
    return [Source.of(path, text.encode()) for path, text in files.items()]


def page(files: dict[str, str], reference: dict[str, str]) -> str:
    return origin_text(compare_code(sources(files), sources(reference)), None)


def origins(files: dict[str, str], reference: dict[str, str]) -> tuple[Origin, ...]:
    return compare_code(sources(files), sources(reference)).origins


LIBRARY = {f"modeling_{number}.py": program(*range(10 * number, 10 * number + 5)) for number in range(25)}
THIRD = program(900, 901, 902, 903)


def test_what_both_took_from_a_third_looks_the_same_and_the_page_says_so():
    """No statistic of two sides can tell it: the caveat is all there is, and it stands on the page."""
    text = page({"x.py": THIRD}, LIBRARY | {"modeling_vendored.py": "# Copyright 2024 Vendor\n" + THIRD})
    assert ": distinctive" in text
    assert "where that side took the file from a third, so may this one have" in " ".join(text.split())


def test_with_the_third_in_the_reference_nobody_is_singled_out():
    reference = LIBRARY | {"modeling_vendored.py": "# Copyright 2024 Vendor\n" + THIRD, "upstream/core.py": THIRD}
    (origin,) = origins({"x.py": THIRD}, reference)
    assert (origin.margin, origin.missing_notices) == ("0", ())
    assert ": not distinctive" in page({"x.py": THIRD}, reference)


def test_a_family_of_copies_makes_a_copy_of_one_of_them_not_distinctive():
    """Each file of the reference has a twin: to be as much like one of them is nothing special."""
    family = {f"modeling_{n}_{side}.py": program(*range(5 * n, 5 * n + 4)) for n in range(15) for side in "ab"}
    (origin,) = origins({"modeling_x.py": family["modeling_7_a.py"]}, family)
    assert origin.margin == "0"
    assert float(origin.nearest_percentile or 1) < 0.95


def test_the_nearest_of_a_file_is_looked_for_in_the_whole_reference():
    """Not only among the files that the null was drawn from, where most have no relative."""
    pairs = {f"modeling_{n:03}.py": program(5 * n, 5 * n + 1, 5 * n + 2) for n in range(25)}
    twins = {f"zoo/copy_{n:03}.py": text for n, text in enumerate(pairs.values())}
    (origin,) = origins({"modeling_x.py": pairs["modeling_003.py"]}, pairs | twins)
    assert origin.nearest_percentile == "0"


@pytest.mark.parametrize(
    "text",
    [
        textwrap.indent(LICENSE, "# "),
        f'"""{LICENSE}"""\n',
        f'__license__ = """{LICENSE}"""\n',
        f"__license__ = '{LICENSE}'\n",
    ],
    ids=["comment", "docstring", "long string", "string"],
)
def test_a_license_header_is_no_code(text: str):
    assert origins({"x.py": text}, LIBRARY | {"y.py": text}) == ()


def test_a_license_header_in_c_is_no_code():
    assert fingerprint("x.c", f"/* {LICENSE} */\n// {LICENSE}\n").tokens == 0


@pytest.mark.parametrize(
    "text",
    [
        "from .a import b\nfrom .c import d\n__all__ = ['b', 'd']\n",
        "from setuptools import setup\nsetup(name='x', version='1', packages=['x'], install_requires=['numpy'])\n",
        "import pytest\n\n@pytest.fixture\ndef root(tmp_path):\n    return tmp_path\n",
    ],
    ids=["__init__.py", "setup.py", "conftest.py"],
)
def test_boilerplate_is_too_short_to_be_compared(request: pytest.FixtureRequest, text: str):
    name = request.node.callspec.id
    assert origins({name: text}, LIBRARY | {name: text}) == ()


def test_what_is_barely_long_enough_is_called_too_short_to_be_distinctive():
    small = "\n".join(program(950).splitlines()[:8])
    text = page({"modeling_s.py": small}, LIBRARY | {"modeling_small.py": small})
    assert "too short to be distinctive" in text
    assert ": distinctive" not in text


def test_settings_are_held_against_settings():
    """In a library whose settings are all alike, settings that are alike say nothing, whatever its models do."""
    fields = "".join(f"        self.field_{n} = field_{n}\n" for n in range(60))
    head = f"class Config(Base):\n    def __init__(self, {', '.join(f'field_{n}=1' for n in range(60))}):\n"
    settings = {f"configuration_{n}.py": f"{head}{fields}        self.own_{n} = {n}\n" for n in range(25)}
    reference = LIBRARY | {f"other_{n}.py": program(2000 + n, 2100 + n) for n in range(60)} | settings
    (origin,) = origins({"configuration_x.py": f"{head}{fields}        self.own_999 = 999\n"}, reference)
    assert float(origin.containment) > 0.9
    assert float(origin.both_percentile or 1) < 0.95
    assert first_word("a/configuration_x.py") == first_word("Configuration-y.py") == "configuration"


def test_generated_code_leaves_no_margin_where_the_reference_has_more_of_it():
    generated = {f"api_{n}_pb2.py": program(*range(700, 704)).replace("read", f"read{n}", 1) for n in range(25)}
    (origin,) = origins({"my_pb2.py": program(*range(700, 704))}, generated)
    assert float(origin.margin) < 0.02
    assert float(origin.both_percentile or 1) < 0.95
