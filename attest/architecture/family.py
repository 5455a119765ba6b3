"""What a tensor is for, by its name: tables that a newcomer can extend.

A family is one entry of a TOML file in ``families/``, or of a file that a user gives: for each role the names that
have it. Names are compared as they are; there are no patterns.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

from attest.architecture.layout import Layout, Stacked
from attest.digest import sha256
from attest.document import Limits, load, record
from attest.errors import DocumentError, InputError
from attest.kept import kept

__all__ = [
    "FAMILIES",
    "FILES",
    "PARTS",
    "TRAITS",
    "Family",
    "FamilyFile",
    "Rotary",
    "parse_families",
    "read_family_file",
]

FILES = ("decoders.toml", "fused.toml", "containers.toml", "encoders.toml", "recurrent.toml", "rare.toml")
"""The tables that come with attest, in order: of families that fit a checkpoint equally well the first counts."""

PARTS: Mapping[str, str] = {
    "weight": "",
    "bias": ".bias",
    "weight_scale": ".scale",
    "weight_scale_inv": ".scale",
    "weight_scale_2": ".scale",
    "weight_global_scale": ".scale",
    "input_scale": ".input_scale",
    "input_global_scale": ".input_scale",
    "activation_scale": ".input_scale",
    "output_scale": ".output_scale",
    "qweight": ".codes",
    "weight_packed": ".codes",
    "scales": ".scale",
    "biases": ".minimum",
    "qzeros": ".zero",
    "g_idx": ".order",
}
"""Last words of a name that say which part of a module a tensor is, and what they add to its role."""

_JOINED = ("_input_scale", "_activation_scale")
"""Such words that a stack of experts, which is no module, has behind an underscore."""

TRAITS = ("q.bias", "q_norm", "router", "kv_b")
"""Roles that tell apart networks whose other names are the same."""

Rotary: TypeAlias = Literal["halves", "in-turn", "unknown"]

_MAX_BYTES = 1024 * 1024
_Role = Annotated[str, Limits(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,2}$", max_length=64)]
_Name = Annotated[str, Limits(min_length=1, max_length=200)]
_Trait = Annotated[str, Limits(pattern=r"^(q\.bias|q_norm|router|kv_b)\??$")]


@record
class _Entry:
    """A family as a file has it."""

    title: Annotated[str, Limits(min_length=1, max_length=200)]
    extends: str | None = None
    model_types: tuple[_Name, ...] = ()
    traits: Mapping[_Name, tuple[_Trait, ...]] = field(default_factory=dict)
    transposed: bool | None = None
    stacked_transposed: tuple[Stacked, ...] | None = None
    norm_offset: Annotated[int, Limits(ge=0, le=1)] | None = None
    rotary: Rotary | None = None
    layouts: Mapping[Literal["qkv", "kv", "gate_up"], Layout] = field(default_factory=dict)
    in_layer: Mapping[_Role, tuple[_Name, ...]] = field(default_factory=dict)
    outside: Mapping[_Role, tuple[_Name, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One way to name tensors.

    Parameters
    ----------
    id, title : str
    in_layer, outside : mapping of name to role
        Names without prefix, layer, number of an expert, and part.
    layouts : mapping of role to Layout
        How the rows of a fused matrix lie, where not ``joined``.
    transposed : bool
        Whether matrices in layers are stored as inputs by outputs.
    stacked_transposed : tuple of str
        Roles whose matrices are, where those of all experts are in one tensor; shapes come before it.
    norm_offset : {0, 1}
        What is added to a stored gain of a norm before it is used.
    rotary : {"halves", "in-turn", "unknown"} or None
        Which rows of a head turn together: i with i + d/2, or 2 i with 2 i + 1; ``unknown`` where some of the networks
        have other positions that nothing else gives away; None where the table does not say.
    model_types : frozenset of str
        Values of ``model_type`` in configurations whose networks are named so.
    traits : mapping of str to tuple of str
        By model type, which of ``TRAITS`` its layers have; with a question mark where some have it. Model types that
        are not in here may have any.

    Notes
    -----
    Roles of matrices: ``q k v o gate up down`` (``up`` and ``down`` alone where there is no gate); ``qkv``, ``kv``,
    ``gate_up`` and ``branch_up`` for fused ones; ``q_a q_b kv_a kv_b`` of latent attention, and ``k_b v_b`` where ``kv_b`` is
    cut in two; ``router``, ``shared_router``. Of
    norms on the residual stream: ``attention_norm`` and ``mlp_norm`` in front of attention and MLP,
    ``attention_output_norm`` and ``output_norm`` behind them, ``final_norm``, ``embed_norm``. ``cross.`` stands
    before roles of attention to another stack; ``linear.`` and ``ssm.`` before those of other mixers.
    """

    id: str
    title: str
    in_layer: Mapping[str, str]
    outside: Mapping[str, str]
    layouts: Mapping[str, Layout]
    transposed: bool
    stacked_transposed: tuple[Stacked, ...]
    norm_offset: int
    rotary: Rotary | None
    model_types: frozenset[str]
    traits: Mapping[str, tuple[str, ...]]

    def role_in_layer(self, rest: str) -> str | None:
        """Role by what follows the layer in a name; None where the family does not know it."""
        return _look_up(self.in_layer, rest)

    def role_outside(self, rest: str) -> str | None:
        """Role by a name outside the layers, without a prefix of the layers'; None where it is not known."""
        return _look_up(self.outside, rest)


_NO_BASE = Family(
    id="",
    title="",
    in_layer={},
    outside={},
    layouts={},
    transposed=False,
    stacked_transposed=(),
    norm_offset=0,
    rotary=None,
    model_types=frozenset(),
    traits={},
)
"""What a family extends that extends no other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyFile:
    """A user's file of families: the last part of its path, the SHA-256 of its bytes, and what it holds."""

    name: str
    sha256: str
    families: tuple[Family, ...]


def _look_up(names: Mapping[str, str], rest: str) -> str | None:
    if rest in names:
        return names[rest]
    joined = next((end for end in _JOINED if rest.endswith(end)), None)
    module, _, part = rest.rpartition(".") if joined is None else (rest.removesuffix(joined), "", joined[1:])
    return names[module] + PARTS[part] if module in names and part in PARTS else None


def read_family_file(path: Path) -> FamilyFile:
    """Families of a user's file; they may extend those that come with attest.

    Raises
    ------
    InputError
        There is no such file.
    DocumentError
        It is not TOML, not of the form that ``docs/architectures.md`` describes, or contradicts itself.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            "no-architecture-file", "cannot be read", fix="give a TOML file of families", where=str(path)
        ) from error
    families = parse_families(data, where=path.name, known=FAMILIES)
    return FamilyFile(name=path.name, sha256=sha256(data), families=families)


def parse_families(data: bytes, *, where: str, known: Iterable[Family]) -> tuple[Family, ...]:
    """Families of a file's bytes, which may extend each other in order, and the known ones.

    Raises
    ------
    DocumentError
        As for ``read_family_file``.
    """
    if len(data) > _MAX_BYTES:
        _refuse("is larger than 1 MiB", where)
    try:
        tables = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        _refuse(f"is not TOML ({str(error)[:200]})", where)
    by_id = {family.id: family for family in known}
    made = []
    for name, table in tables.items():
        if name in by_id or not name.isprintable() or not 0 < len(name) <= 64:
            _refuse(f"names a family {name[:64]!r} that exists already, or has no usable name", where)
        made.append(_build(name, _read_entry(table, where=f"{where}#/{name}"), by_id, where))
        by_id[name] = made[-1]
    return tuple(made)


def _read_entry(table: Any, *, where: str) -> _Entry:
    try:
        return load(_Entry, table, where=where)
    except TypeError:  # a date or time, which TOML has and JSON has not
        _refuse("holds a value that no family has", where)


def _build(name: str, entry: _Entry, by_id: Mapping[str, Family], where: str) -> Family:
    if entry.extends is not None and entry.extends not in by_id:
        _refuse(f"the family {name!r} extends {entry.extends!r}, which is not known before it", where)
    base = by_id[entry.extends] if entry.extends else _NO_BASE
    return Family(
        id=name,
        title=entry.title,
        in_layer={**base.in_layer, **_by_name(entry.in_layer, name, where)},
        outside={**base.outside, **_by_name(entry.outside, name, where)},
        layouts=dict((*base.layouts.items(), *entry.layouts.items())),
        transposed=base.transposed if entry.transposed is None else entry.transposed,
        stacked_transposed=(base.stacked_transposed if entry.stacked_transposed is None else entry.stacked_transposed),
        norm_offset=base.norm_offset if entry.norm_offset is None else entry.norm_offset,
        rotary=entry.rotary or base.rotary,
        model_types=frozenset((*entry.model_types, *entry.traits)),
        traits=entry.traits,
    )


def _by_name(names_of: Mapping[str, tuple[str, ...]], family: str, where: str) -> dict[str, str]:
    roles: dict[str, str] = {}
    for role, names in names_of.items():
        for name in names:
            if name in roles:
                _refuse(f"the family {family!r} gives {name!r} two roles, or one twice", where)
            roles[name] = role
    return roles


def _refuse(problem: str, where: str) -> NoReturn:
    raise DocumentError("bad-architecture-file", problem, fix="see docs/architectures.md", where=where)


def _shipped() -> tuple[Family, ...]:
    """Families of the tables beside this module; parsed once, since that takes as long as reading 50 MB of weights."""
    module = Path(__file__)
    texts = {name: module.with_name("families").joinpath(name).read_text(encoding="utf-8") for name in FILES}
    made_from = (module.read_text(encoding="utf-8"), *texts.values())
    entries = json.loads(kept("families.json", module, made_from, lambda: _pack(texts)))
    return tuple(
        Family(
            **{
                **entry,
                "stacked_transposed": tuple(entry["stacked_transposed"]),
                "model_types": frozenset(entry["model_types"]),
                "traits": {name: tuple(traits) for name, traits in entry["traits"].items()},
            }
        )
        for entry in entries
    )


def _pack(texts: Mapping[str, str]) -> bytes:
    families: tuple[Family, ...] = ()
    for name, text in texts.items():
        families += parse_families(text.encode(), where=name, known=families)
    return json.dumps([{**asdict(one), "model_types": sorted(one.model_types)} for one in families]).encode()


FAMILIES = _shipped()
"""The families that come with attest, in order."""
