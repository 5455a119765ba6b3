"""The page says what the code does."""

import ast
import re
from pathlib import Path

from attest.activation import PROFILE_ID, PROMPT_SETS, TOLERANCE, load_prompt_set
from attest.compare.strangers import STRANGERS
from attest.document import decimal

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "activations.md").read_text(encoding="utf-8")
RAISES = {"CheckpointError", "DocumentError", "IncomparableError", "InputError", "_refuse"}


def codes_of_the_room() -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "attest" / "activation").glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    first = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id in RAISES and call.args]
    return {node.value for node in first if isinstance(node, ast.Constant)}


def test_the_page_lists_every_error_code_and_no_other():
    listed = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert listed == sorted(codes_of_the_room())


def test_the_page_states_the_tolerance_and_the_profile():
    assert f"The stated tolerance is **{decimal(TOLERANCE)}**" in PAGE
    assert f"`{PROFILE_ID}`" in PAGE


def test_the_page_names_the_prompt_sets_and_their_digests():
    for name, digest in PROMPT_SETS.items():
        assert re.search(rf"^\| `{name}` \| [^|]+ \| `{digest}` \|$", PAGE, re.MULTILINE)
        assert f"at most {load_prompt_set(name).tokens} tokens" in PAGE


def test_the_page_says_what_strangers_gave():
    for test_id, (pairs, least, greatest) in STRANGERS.items():
        row = f"{pairs} | {decimal(least, 2)} | {decimal(greatest, 2)}"
        assert re.search(rf"^\| {test_id.removesuffix('/v1')}[^|]* \| {re.escape(row)} \|", PAGE, re.MULTILINE), test_id
