"""Every error code that the source can raise is explained in docs/errors.md, with its class; and nothing else is."""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from attest import errors
from attest.activation import job
from attest.errors import AttestError

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| ([A-Za-z, ]+) \| ([0-9, ]+) \| (.+) \| (.+) \|$", re.MULTILINE)
CLASSES = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AttestError)
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A code, the class that carries it, and where."""

    code: str
    kind: str
    where: str


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def code_of(call: ast.Call) -> ast.expr | None:
    """What a call gives as ``code``: the keyword, or the first argument."""
    keyword = next((one.value for one in call.keywords if one.arg == "code"), None)
    return keyword or (call.args[0] if call.args else None)


def calls(node: ast.AST) -> Iterator[ast.Call]:
    return (child for child in ast.walk(node) if isinstance(child, ast.Call))


def helpers(module: ast.Module) -> dict[str, set[str]]:
    """Functions with a parameter ``code`` that they give to an error, and the classes of these errors."""
    found: dict[str, set[str]] = {}
    for function in ast.walk(module):
        if isinstance(function, Function) and "code" in {argument.arg for argument in function.args.args}:
            kinds = {name_of(call.func) for call in calls(function) if is_name(code_of(call), "code")} & CLASSES.keys()
            if kinds:
                assert function.args.args[0].arg == "code", f"{function.name} takes its code in another place"
                found[function.name] = kinds
    return found


def is_name(node: ast.expr | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def literals(node: ast.expr | None, scope: ast.AST) -> set[str]:
    """Strings that an expression can be: a literal, a choice of two, or a variable that was given such a value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return literals(node.body, scope) | literals(node.orelse, scope)
    if isinstance(node, ast.Name):
        given = [
            one.value
            for one in ast.walk(scope)
            if isinstance(one, ast.Assign) and any(is_name(target, node.id) for target in one.targets)
        ]
        return set().union(*(literals(value, scope) for value in given))
    return set()


def raised_in(module: ast.Module, path: str, known: Mapping[str, set[str]]) -> Iterator[Raised]:
    """Codes of one file. A code that is passed on from another error (``error.code``) is that error's."""
    scopes = {call: scope for scope in ast.walk(module) if isinstance(scope, Function) for call in calls(scope)}
    for call in calls(module):
        scope = scopes.get(call, module)
        name, code = name_of(call.func), code_of(call)
        names = {name_of(argument) for argument in call.args} if name == "translated" else {name}
        kinds = names & CLASSES.keys() or known.get(name, set())
        passed_on = isinstance(code, ast.Attribute) and code.attr == "code"
        passed_through = is_name(code, "code") and getattr(scope, "name", "") in known
        if not kinds or passed_on or passed_through:
            continue
        found = literals(code, scope)
        assert found, f"{path}:{call.lineno}: the code of {name} cannot be read"
        yield from (Raised(code=one, kind=kind, where=f"{path}:{call.lineno}") for one in found for kind in kinds)


@cache
def modules() -> dict[str, ast.Module]:
    """Every file of attest but ``errors.py``, which only defines the classes."""
    files = sorted((ROOT / "attest").rglob("*.py"))
    return {
        file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in files
        if file.relative_to(ROOT).as_posix() != "attest/errors.py"
    }


@cache
def raised() -> list[Raised]:
    """Every code with its class. Helpers with a leading underscore count in their own file, others everywhere."""
    files = modules()
    own = {path: helpers(module) for path, module in files.items()}
    public = {name: kinds for found in own.values() for name, kinds in found.items() if not name.startswith("_")}
    return [one for path, module in files.items() for one in raised_in(module, path, {**public, **own[path]})]


def classes_by_code() -> Mapping[str, set[str]]:
    found = defaultdict(set)
    for one in raised():
        found[one.code].add(one.kind)
    return found


def test_the_page_lists_every_code_with_its_classes_and_no_other():
    listed = {code: set(kinds.split(", ")) for code, kinds, *_ in ROW.findall(PAGE)}
    assert listed == dict(classes_by_code())


def test_the_page_lists_every_code_once_in_order():
    codes = [code for code, *_ in ROW.findall(PAGE)]
    assert codes == sorted(set(codes))
    assert len(codes) == PAGE.count("\n| `")


def test_the_page_states_the_exit_codes_of_the_classes():
    for code, kinds, exits, *_ in ROW.findall(PAGE):
        expected = sorted({CLASSES[kind].exit_code for kind in kinds.split(", ")})
        assert [int(one) for one in exits.split(", ")] == expected, code


def test_the_page_says_what_each_code_means_and_what_to_do():
    for code, _, _, means, fix in ROW.findall(PAGE):
        assert len(means) > 20, code
        assert len(fix) > 10, code


def test_every_code_is_kebab_case():
    assert [one for one in raised() if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.code)] == []


def test_the_base_class_is_raised_only_for_what_should_be_reported():
    assert [code for code, kinds, _, _, fix in ROW.findall(PAGE) if "AttestError" in kinds and "eport" not in fix] == []


def test_no_error_class_is_made_elsewhere():
    bases = [
        (path, node.name)
        for path, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and {name_of(base) for base in node.bases} & CLASSES.keys()
    ]
    assert bases == []


def test_codes_from_the_child_process_are_checkpoint_errors():
    """``attest.activation.runner`` raises what the child refused as a CheckpointError; the child refuses nothing else."""
    assert "code" in inspect.signature(job.Refusal).parameters
    files = ("network", "build", "inputs", "whole", "stream", "residual_profile")
    names = tuple(f"attest/activation/{file}.py" for file in files)
    children = {one.kind for one in raised() if one.where.startswith(names)}
    assert children == {"CheckpointError"}


def test_every_error_class_is_exported():
    assert set(errors.__all__) == set(CLASSES)
    assert list(errors.__all__) == sorted(errors.__all__)


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    drawn = re.findall(r"^ {4}([│├└─ ]*)(\w+) +(\d+)  \S", inspect.getdoc(errors) or "", re.MULTILINE)
    path: list[str] = []
    found = {}
    for indent, name, exit_code in drawn:
        depth = len(indent) // 4
        path = [*path[:depth], name]
        found[name] = (path[depth - 1] if depth else "Exception", int(exit_code))
    assert found == {name: (kind.__base__.__name__, kind.exit_code) for name, kind in CLASSES.items()}
    assert [name for _, name, _ in drawn] == list(CLASSES)
