"""Every finding that the source can make is explained in docs/findings.md, and nothing else is."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from attest.licenses.kind import KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
CODE = re.compile(r"[a-z]+(-[a-z]+)+")
SECTION = re.compile(r"^### `([a-z-]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def text_of(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def codes_in(module: ast.Module) -> Iterator[str]:
    """Codes given to ``Finding(code=…)`` or ``source.finding(…)``, or held in pairs of code and sentence."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            yield from (text_of(keyword.value) for keyword in node.keywords if keyword.arg == "code")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "finding":
            yield text_of(node.args[0])
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and " " in text_of(node.elts[1]):
            yield text_of(node.elts[0])


def codes_of_the_source() -> set[str]:
    found = {kind.code for kind in KINDS}
    for path in sorted((ROOT / "attest").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "import Finding" in source:
            found |= {code for code in codes_in(ast.parse(source)) if CODE.fullmatch(code)}
    return found


def test_the_page_explains_every_code_and_no_other():
    assert sorted(code for code, _ in SECTION.findall(PAGE)) == sorted(codes_of_the_source())


def test_every_code_says_what_it_means_and_what_it_does_not():
    for code, body in SECTION.findall(PAGE):
        assert re.match(r"Means: .+\nDoes not mean: .+\n", body), code


def test_the_package_holds_the_words_of_the_page():
    spec = importlib.util.spec_from_file_location("meanings", ROOT / "scripts" / "update_meanings.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.MEANINGS.read_text(encoding="utf-8") == script.text(), "run scripts/update_meanings.py"
