"""Matrices that exporters turned round and renamed are the weights of the modules that multiply with them."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from other_containers import field, onnx_model, onnx_tensor
from safetensors.torch import save_file
from time_limit import no_longer_than
from torch import nn

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.checkpoint.use import SCOPES, Use, as_named, find_module, find_turned, weight_name
from attest.measure import Measurement, measure

D_MODEL, D_FF = 32, 64


class Attention(nn.Module):
    """One head."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(D_MODEL, D_MODEL), nn.Linear(D_MODEL, D_MODEL)
        self.v_proj, self.o_proj = nn.Linear(D_MODEL, D_MODEL), nn.Linear(D_MODEL, D_MODEL)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.q_proj(x) @ self.k_proj(x).transpose(-1, -2), -1)
        return self.o_proj(weights @ self.v_proj(x))


class Mlp(nn.Module):
    """With a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(D_MODEL, D_FF, bias=False), nn.Linear(D_MODEL, D_FF, bias=False)
        self.down_proj = nn.Linear(D_FF, D_MODEL, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Named as in Llama."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm, self.self_attn = nn.LayerNorm(D_MODEL), Attention()
        self.post_attention_layernorm, self.mlp = nn.LayerNorm(D_MODEL), Mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Network(nn.Module):
    """Two layers between a table of tokens and a head; ``model`` is never called, so no node knows of it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(50, D_MODEL)
        self.model.layers = nn.ModuleList([Layer(), Layer()])
        self.lm_head = nn.Linear(D_MODEL, 50, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x)
        return self.lm_head(x)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One network as safetensors, and as PyTorch exports it."""
    torch.manual_seed(3)
    network = Network().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
    stored, exported = tmp_path_factory.mktemp("stored"), tmp_path_factory.mktemp("exported")
    save_file(network.state_dict(), stored / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.arange(7)[None],), exported / "model.onnx", dynamo=False)
    return stored, exported


def as_the_newer_exporter_names_it(source: Path, folder: Path) -> Path:
    """The same graph with the names of matrices and nodes that ``torch.export`` leads to."""
    model = onnx.load(str(source / "model.onnx"))
    names = {one.name: f"val_{at}" for at, one in enumerate(model.graph.initializer) if one.name.startswith("onnx::")}
    for one in model.graph.initializer:
        one.name = names.get(one.name, one.name)
    for at, node in enumerate(model.graph.node):
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
        words = node.name.strip("/").split("/")[:-1]
        scopes = ["", *(".".join(words[: end + 1]) for end in range(len(words))), f"linear_{at}"]
        node.metadata_props.add(key=SCOPES, value=str(scopes))
        node.name = f"node_linear_{at}"
    onnx.save(model, str(folder / "model.onnx"))
    return folder


def fingerprints(one: Measurement) -> dict[str, Any]:
    return {f"{kind}/{name}": array for kind, arrays in one.profiles.items() for name, array in arrays.items()}


def test_an_exported_network_has_the_fingerprints_of_its_weights(folders: tuple[Path, Path], tmp_path: Path):
    stored, exported = folders
    expected = measure(stored)
    for folder in (exported, as_the_newer_exporter_names_it(exported, tmp_path)):
        checkpoint = open_checkpoint(folder)
        assert len(checkpoint.turned) == 2 * 7 + 1
        model = place_tensors(checkpoint)
        assert model.index.keys() == place_tensors(open_checkpoint(stored)).index.keys() - {("lm_head", None)}
        assert {one.role for one in model.tensors} >= {"lm_head", "q.bias", "down"}
        assert [one.tensor.name for one in model.tensors] == [one.name for one in checkpoint.tensors]
        found, wanted = fingerprints(measure(folder)), fingerprints(expected)
        shared = [name for name in wanted if not name.startswith("row-digests")]
        assert len(shared) > 10
        for name in shared:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, err_msg=name)


LINEAR = "/model/layers.0/mlp/up_proj/MatMul"
PATH = "model.layers.0.mlp.up_proj"


@pytest.mark.parametrize(
    ("node", "scopes", "module"),
    [
        (LINEAR, "", PATH),
        (f"{LINEAR}_1", "", PATH),
        (f"{LINEAR}_quant", "", PATH),
        (f"{LINEAR}NBits", "", PATH),
        ("node_linear", "['', 'model', 'model.layers.0.mlp.up_proj', 'linear']", PATH),
        (LINEAR, "['', 'model.other', 'linear']", "model.other"),
        ("MatMul_12", "", ""),
        ("/MatMul", "", ""),
        ("/model/layers.0/mlp/up_proj/Add", "", ""),
        ("/model/lay ers/MatMul", "", ""),
        ("", "['linear']", ""),
        ("", "__import__('os')", ""),
        ("", "['', 'a\\'b', 'linear']", ""),
    ],
)
def test_where_a_node_came_from(node: str, scopes: str, module: str):
    assert find_module(node=node, scopes=scopes) == module


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("onnx::MatMul_215", f"{PATH}.weight"),
        ("val_49", f"{PATH}.weight"),
        ("215", f"{PATH}.weight"),
        ("branch/then_branch/onnx::MatMul_3", f"{PATH}.weight"),
        ("model.layers.1.mlp.up_proj.MatMul.weight", "model.layers.1.mlp.up_proj.weight"),
        ("model.layers.1.mlp.up_proj.MatMulNBits.qweight", "model.layers.1.mlp.up_proj.weight"),
        ("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"),
        ("projection", "projection"),
    ],
)
def test_made_up_names_alone_are_replaced(name: str, weight: str):
    assert weight_name(name, Use(operator="MatMul", module=PATH)) == weight


@pytest.mark.parametrize(
    ("module", "names", "meant"),
    [
        ("layers.0.mlp.up_proj", ["model.layers.0.norm.weight"], "model.layers.0.mlp.up_proj"),
        ("model.model.layers.0.mlp.up_proj", ["model.layers.0.norm.weight"], "model.layers.0.mlp.up_proj"),
        ("layers.0.mlp.experts.3.w1", ["model.layers.0.norm.weight"], "model.layers.0.mlp.experts.3.w1"),
        ("a.layers.0.up", ["a.layers.0.norm.weight", "b.a.layers.0.norm.weight"], "a.layers.0.up"),
        ("layers.0.up", ["encoder.layers.0.norm.weight", "decoder.layers.0.norm.weight"], "layers.0.up"),
        ("layers.0.up", ["model.xlayers.0.norm.weight"], "layers.0.up"),
        ("layers.0.up", ["layers.1.norm.weight"], "layers.0.up"),
        ("lm_head", ["model.lm_head.bias"], "lm_head"),
        ("", ["model.layers.0.norm.weight"], ""),
    ],
)
def test_paths_are_those_of_other_names(module: str, names: list[str], meant: str):
    assert as_named({"1": Use(operator="MatMul", module=module)}, names)["1"].module == meant


def test_very_many_paths_do_not_hang():
    names = [f"{at}.{'1.' * 400}layers.0.w" for at in range(3_000)]
    uses = {f"{at}": Use(operator="MatMul", module=f"{'2.' * 400}x{at}.layers.0.up") for at in range(3_000)}
    with no_longer_than(20):
        assert as_named(uses, names) == uses


def node(name: str, *inputs: str) -> bytes:
    parts = b"".join(field(1, one) for one in inputs)
    return field(1, parts + field(2, f"out of {name}") + field(3, name) + field(4, "MatMul"))


OTHER = "/model/layers.0/mlp/gate_proj/MatMul"
GRAPHS = {
    "the second input": (node(LINEAR, "1", "2"), ("1", "2"), {"2": f"{PATH}.weight"}),
    "the first of two uses": (node(LINEAR, "x", "2") + node(OTHER, "x", "2"), ("2",), {"2": f"{PATH}.weight"}),
    "two matrices of one module": (node(LINEAR, "x", "1") + node(f"{LINEAR}_1", "x", "2"), ("1", "2"), {}),
    "a name that another tensor has": (node(LINEAR, "x", "1"), ("1", f"{PATH}.weight"), {}),
    "a telling name": (node(LINEAR, "x", "w"), ("w",), {}),
    "one input": (node(LINEAR, "1"), ("1",), {}),
}


@pytest.mark.parametrize(("graph", "names", "expected"), GRAPHS.values(), ids=GRAPHS)
def test_which_matrices_are_turned(graph: bytes, names: tuple[str, ...], expected: dict[str, str], tmp_path: Path):
    tensors = (onnx_tensor(name, 1, (4, 2), field(9, bytes(32))) for name in names)
    (tmp_path / "model.onnx").write_bytes(onnx_model(*tensors, graph=graph))
    assert open_checkpoint(tmp_path).turned == expected


@pytest.mark.parametrize(("kind", "shape"), [(1, (2, 2, 2)), (6, (2, 4))], ids=["a stack", "integers"])
def test_what_is_no_matrix_of_floats_is_not_turned(kind: int, shape: tuple[int, ...], tmp_path: Path):
    tensor = onnx_tensor("1", kind, shape, field(9, bytes(32)))
    (tmp_path / "model.onnx").write_bytes(onnx_model(tensor, graph=node(LINEAR, "x", "1")))
    assert not open_checkpoint(tmp_path).turned


def test_matrices_without_a_use_stay_as_they_are():
    assert find_turned((), {"1": Use(operator="MatMul", module=PATH)}) == {}
