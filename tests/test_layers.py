"""Layers, one row each: what eager mode gives, a scripted layer exported to plain onnxruntime gives, for other sizes as well.

With torch, their text and their results are torch's.
"""

from __future__ import annotations

import linecache
import re
import warnings
from typing import Any

import numpy as np
import pytest
from support.onnx_runs import run_plain

import bridge

#: A layer, then inputs of two sizes. Arrays are given by shapes, numbers of sequences by their lengths.
LAYERS: list[tuple[str, list[Any], list[Any]]] = [
    ("nn.LSTM(3, 4)", [(5, 2, 3)], [(2, 3, 3)]),
    ("nn.LSTM(3, 4, 2, bias=False, batch_first=True, bidirectional=True)", [(2, 5, 3)], [(3, 4, 3)]),
    ("nn.GRU(3, 4, 2, bidirectional=True)", [(5, 2, 3)], [(2, 3, 3)]),
    ("nn.RNN(3, 4, nonlinearity='relu', batch_first=True)", [(2, 5, 3)], [(3, 4, 3)]),
    ("Packed(nn.LSTM(3, 4, bidirectional=True, batch_first=True))", [(2, 5, 3), [3, 5]], [(3, 4, 3), [1, 3, 2]]),
    ("Packed(nn.GRU(3, 4, 2, batch_first=True))", [(2, 5, 3), [5, 2]], [(3, 4, 3), [2, 2, 3]]),
    ("Packed(nn.RNN(3, 4, batch_first=True))", [(2, 5, 3), [5, 2]], [(3, 4, 3), [2, 2, 3]]),
    ("nn.Upsample(size=(3, 7), mode='bilinear')", [(1, 2, 5, 4)], [(2, 1, 3, 3)]),
    ("nn.Upsample(scale_factor=2)", [(1, 2, 3, 4)], [(2, 1, 5, 2)]),
    ("nn.UpsamplingBilinear2d(scale_factor=1.5)", [(1, 2, 3, 4)], [(2, 1, 5, 2)]),
    ("nn.LocalResponseNorm(2)", [(1, 4, 3, 3)], [(2, 3, 2, 5)]),
    ("nn.Unfold(2, padding=1)", [(1, 2, 3, 4)], [(2, 2, 5, 3)]),
    ("nn.Fold((4, 5), 2)", [(1, 8, 12)], [(3, 4, 12)]),
    ("nn.PixelShuffle(2)", [(1, 8, 3, 2)], [(2, 4, 2, 5)]),
    ("nn.CircularPad2d((1, 2, 0, 1))", [(2, 3, 4, 3)], [(1, 2, 3, 5)]),
    ("nn.ReflectionPad3d(1)", [(2, 3, 2, 4)], [(1, 3, 3, 5)]),
    ("nn.EmbeddingBag(5, 3)", [[[1, 2], [0, 4]]], [[[3, 3, 0]]]),
    ("nn.EmbeddingBag(5, 3, mode='max')", [[[1, 2], [0, 4]]], [[[3, 3, 0]]]),
    ("Two(nn.EmbeddingBag(5, 3, mode='sum', include_last_offset=True))", [[1, 2, 0, 4], [0, 2, 3]], [[3, 3, 0], [0, 1, 3]]),
    ("nn.BatchNorm1d(3, track_running_stats=False)", [(4, 3)], [(2, 3)]),
    ("nn.BatchNorm2d(3, affine=False, track_running_stats=False)", [(2, 3, 4, 2)], [(1, 3, 2, 2)]),
    ("nn.RReLU()", [(2, 3)], [(1, 4)]),
    ("nn.LPPool3d(2, 2)", [(1, 2, 4, 4, 4)], [(2, 1, 2, 4, 6)]),
    ("nn.AdaptiveMaxPool3d(2)", [(1, 2, 4, 4, 4)], [(2, 1, 2, 4, 6)]),
    ("Three(nn.MultiheadAttention(8, 2))", [(2, 3, 8), (4, 3, 8), (4, 3, 8)], [(1, 2, 8), (2, 2, 8), (2, 2, 8)]),
    ("Three(nn.MultiheadAttention(8, 2, kdim=3, vdim=5, batch_first=True, add_bias_kv=True, add_zero_attn=True))",
     [(2, 3, 8), (2, 4, 3), (2, 4, 5)], [(1, 2, 8), (1, 3, 3), (1, 3, 5)]),
    ("nn.TransformerEncoderLayer(8, 2, 16, activation='gelu', norm_first=True)", [(2, 3, 8)], [(4, 1, 8)]),
    ("nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)", [(2, 3, 8)], [(1, 5, 8)]),
    ("Two(nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2, nn.LayerNorm(8)))",
     [(2, 3, 8), (4, 3, 8)], [(5, 1, 8), (1, 1, 8)]),
    ("Causal(nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 1))", [(2, 3, 8), (4, 3, 8)], [(5, 1, 8), (1, 1, 8)]),
    ("nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 4, 3, padding=1))", [(1, 2, 5)], [(2, 2, 8)]),
    ("nn.utils.parametrizations.weight_norm(nn.Linear(3, 4), dim=None)", [(1, 3)], [(4, 3)]),
    ("Two(nn.Transformer(8, 2, 1, 1, 16, batch_first=True))", [(2, 3, 8), (2, 4, 8)], [(1, 5, 8), (1, 2, 8)]),
]  # fmt: skip

_SOURCE = """
class Packed(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, h = self.layer(packed)
        out, n = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        return out, n, h


class Two(Packed):
    def forward(self, x, y):
        return self.layer(x, y)


class Causal(Packed):
    def forward(self, x, y):
        mask = torch.triu(torch.full((x.size(0), x.size(0)), float("-inf")), diagonal=1)
        return self.layer(x, y, tgt_mask=mask)


class Three(Packed):
    def forward(self, x, y, z):
        return self.layer(x, y, z)


class Whole(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)
"""


def _made(torch: Any, expression: str) -> Any:
    """The layer of that library, inside a module, with weights that follow from their names."""
    file = f"<layers of {torch.__name__}>"
    linecache.cache[file] = (len(_SOURCE), None, _SOURCE.splitlines(True), file)
    names: dict[str, Any] = {"nn": torch.nn, "torch": torch, "__name__": "layers"}
    exec(compile(_SOURCE, file, "exec"), names)
    wrapped = expression.startswith(("Packed", "Two", "Causal", "Three"))
    module = eval(expression if wrapped else f"Whole({expression})", names).eval()
    rng = np.random.default_rng(0)
    weights = {
        k: np.asarray(rng.standard_normal(tuple(v.shape)) * 0.5, np.float32) for k, v in module.state_dict().items()
    }
    module.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    return module


def _inputs(torch: Any, given: list[Any]) -> tuple[Any, ...]:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(g).astype(np.float32) if isinstance(g, tuple) else np.asarray(g) for g in given]
    return tuple(map(torch.from_numpy, arrays))


def _flat(v: Any) -> list[np.ndarray[Any, Any]]:
    return [x for w in v for x in _flat(w)] if isinstance(v, tuple | list) else [v.detach().numpy()]


def _close(found: list[Any], wanted: list[Any]) -> None:
    for f, w in zip(found, wanted, strict=True):
        assert f.shape == w.shape
        np.testing.assert_allclose(f, w, 1e-4, 1e-5)


@pytest.mark.filterwarnings("ignore:'norm' was found in ScriptModule constants")
@pytest.mark.parametrize(("expression", "first", "second"), LAYERS, ids=[r[0] for r in LAYERS])
def test_exported(expression: str, first: list[Any], second: list[Any]) -> None:
    module = _made(bridge, expression)
    model = bridge.onnx.export(bridge.jit.script(module), _inputs(bridge, first)).model_proto
    for given in (first, second):
        wanted = _flat(module(*_inputs(bridge, given)))
        _close(run_plain(model, _inputs(bridge, given))[: len(wanted)], wanted)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("expression", "first", "second"), LAYERS, ids=[r[0] for r in LAYERS])
def test_as_torch(expression: str, first: list[Any], second: list[Any]) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = _made(torch, expression), _made(bridge, expression)
    for given in (first, second):
        _close(_flat(ours(*_inputs(bridge, given))), _flat(theirs(*_inputs(torch, given))))
    with warnings.catch_warnings():  # some decisions are frozen in a trace, by both
        warnings.simplefilter("ignore")
        _same_text(torch, theirs, ours, first)


def _same_text(torch: Any, theirs: Any, ours: Any, first: list[Any]) -> None:
    scripted = torch.jit.script(theirs), bridge.jit.script(ours)
    traced = (
        torch.jit.trace(theirs, _inputs(torch, first), check_trace=False),
        bridge.jit.trace(ours, _inputs(bridge, first), check_trace=False),
    )
    for wanted, found in (scripted, traced):
        assert _unmangled(found.code) == _unmangled(wanted.code)
        for method in ("forward", "forward__0", "forward__1"):
            if hasattr(wanted.layer, method) and hasattr(getattr(wanted.layer, method), "code"):
                assert _unmangled(getattr(found.layer, method).code) == _unmangled(getattr(wanted.layer, method).code)


def _unmangled(code: str) -> str:
    """The text without the numbers that tell names apart, which depend on what was compiled before."""
    return re.sub(r"___torch_mangle_\d+\.", "", code)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")  # torch's, of nested tensors; of a norm that is no constant
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("way", ["eager", "scripted", "traced"])
def test_an_encoder_of_padded_sequences(way, norm):
    """Without gradients torch takes the sequences apart where padding comes last, and gives zeros for it."""
    torch = pytest.importorskip("torch")

    def build(library):
        layer = library.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        return library.nn.TransformerEncoder(layer, 2, library.nn.LayerNorm(8) if norm else None).eval()

    theirs, ours = build(torch), build(bridge)
    ours.load_state_dict({k: bridge.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})

    class Padded(bridge.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = ours

        def forward(self, x: bridge.Tensor, padding: bridge.Tensor):
            return self.encoder(x, src_key_padding_mask=padding)

    x = torch.randn(3, 5, 8).numpy()
    last = np.arange(5) >= np.asarray([[3], [5], [1]])  # padding comes last; somewhere; nowhere
    masks = [last, last[:, ::-1].copy(), np.zeros((3, 5), bool)]
    program, model = Padded().eval(), None
    with torch.no_grad(), bridge.no_grad():
        if way != "eager":
            example = (bridge.from_numpy(x), bridge.from_numpy(masks[0]))
            program = bridge.jit.script(program) if way == "scripted" else bridge.jit.trace(program, example)
            model = bridge.onnx.export(program, example).model_proto
        for mask in masks:
            wanted = theirs(torch.from_numpy(x), src_key_padding_mask=torch.from_numpy(mask)).numpy()
            found = [program(bridge.from_numpy(x), bridge.from_numpy(mask)).numpy()]
            if model is not None:
                found += run_plain(model, [x, mask])[:1]
            for f in found:
                np.testing.assert_allclose(f, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", [(0, 2, 3), (2, 0, 3), (0, 0, 3)], ids=["no steps", "no sequences", "neither"])
@pytest.mark.parametrize("layer", ["GRU", "LSTM", "RNN"])
def test_recurrent_layers_of_nothing(layer: str, sizes: tuple[int, ...]) -> None:
    """torch takes no sequences, and refuses no steps; with either onnxruntime's own layers may end the process."""
    module = getattr(bridge.nn, layer)(3, 4)
    scripted, x = bridge.jit.script(module), bridge.zeros(*sizes)
    if sizes[0]:
        assert scripted(x)[0].shape == (*sizes[:2], 4)
    else:
        with pytest.raises(RuntimeError, match="sequence length to be larger than 0"):
            scripted(x)
    model = bridge.onnx.export(scripted, (bridge.zeros(5, 2, 3),)).model_proto
    with pytest.raises(Exception, match="Reshape"):
        run_plain(model, [x])
