"""Ways to damage an ONNX model: bytes that flip, files that end early, fields that are swapped, nested, huge or odd."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError
from onnx import AttributeProto, ModelProto, TensorProto, helper, parser

__all__ = ["damaged", "seeds"]

_TEXTS = {
    "chain": """
        <ir_version: 10, opset_import: ["" : 21], producer_name: "seed", metadata_props: ["k" : "v"]>
        chain (float[N, 4] x, float[4] d) => (float[N, 4] y)
        <float[4, 4] w = {1,2,3,4, 0,1,0,1, 2,2,1,1, -1,0,1,2}, float[4] d = {1, 2, 3, 4}, float[N, 4] h>
        { [first] h = MatMul (x, w) [second] s = Softmax <axis = 1> (h) y = Add (s, d) }
    """,
    "branches": """
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[N, 3] x, bool c) => (float[N, 3] y)
        {
            y = If (c) <
                then_branch = yes () => (float[N, 3] a) { k = Constant <value = float {2}> () a = Mul (x, k) },
                else_branch = no () => (float[N, 3] b) { n = Neg (x) b = If (c) <
                    then_branch = t () => (float[N, 3] p) { p = Abs (n) }, else_branch = e () => (float[N, 3] q) { q = Identity (n) }> }>
        }
    """,
    "loop": """
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[3] x, int64 n, bool go) => (float[3] last, float[M, 3] all)
        {
            last, all = Loop (n, go, x) <body = step (int64 i, bool on, float[3] s) => (bool on2, float[3] s2, float[3] seen)
                { on2 = Identity (on) s2 = Add (s, x) seen = Mul (s2, s) }>
        }
    """,
    "functions": """
        <ir_version: 10, opset_import: ["" : 21, "local" : 1]>
        g (float[N] x) => (float[N] y)
        { a = local.twice <factor = 2.0> (x) y = local.outer (a) }
        <domain: "local", opset_import: ["" : 21]>
        twice <factor> (v) => (r) { k = Constant <value_float: float = @factor> () r = Mul (v, k) }
        <domain: "local", opset_import: ["" : 21, "local" : 1]>
        outer (v) => (r) { t = local.twice <factor = 3.0> (v) r = Neg (t) }
    """,
    "scan": """
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[3] s, float[T, 3] xs) => (float[3] last, float[T, 3] all)
        { last, all = Scan <num_scan_inputs = 1, body = step (float[3] a, float[3] b) => (float[3] c, float[3] d)
            { c = Add (a, b) d = Identity (c) }> (s, xs) }
    """,
    "lists": """
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[4] x) => (seq(float[K]) parts, float[4] whole)
        { parts = SplitToSequence <axis = 0> (x) whole = ConcatFromSequence <axis = 0> (parts) }
    """,
    "shapes": """
        <ir_version: 8, opset_import: ["" : 13, "com.microsoft" : 1]>
        g (float[N, C, H, W] x) => (float[N, D] y)
        <float[2, 3, 1, 1] w = {1,2,3,4,5,6}, int64[2] flat = {0, -1}>
        { h = Conv <strides = [1, 1], pads = [0, 0, 0, 0]> (x, w) g1 = com.microsoft.Gelu (h) y = Reshape (g1, flat) }
    """,
}


def seeds() -> dict[str, bytes]:
    """Sound models to start from, serialised: foreign ones, and two of our own with their metadata."""
    import bridge as torch
    from bridge import onnx as bridge_onnx
    from support import onnx_modules as M

    found = {name: parser.parse_model(text).SerializeToString() for name, text in _TEXTS.items()}
    x = torch.ones(2, 3)
    found["own"] = bridge_onnx.export(torch.jit.script(M.Loop()), (x,)).model_proto.SerializeToString()
    found["own, inline"] = bridge_onnx.export(
        torch.jit.script(M.Loop()), (x,), modules="inline"
    ).model_proto.SerializeToString()
    return found


def damaged(sound: dict[str, bytes], rng: random.Random) -> bytes:
    """A damaged copy of one of the models."""
    data = rng.choice(list(sound.values()))
    if rng.random() < 0.4:
        for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
            data = rng.choice(_BYTES)(data, rng, sound)
        return data
    model = ModelProto.FromString(data)
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        before = model.SerializeToString()
        try:
            rng.choice(_FIELDS)(model, rng)
            model.SerializeToString()
        except (DecodeError, EncodeError):  # deeper than protobuf goes
            model = ModelProto.FromString(before)
    return model.SerializeToString()


# -- bytes ----------------------------------------------------------------------------------------------------------------

Bytes = Callable[[bytes, random.Random, dict[str, bytes]], bytes]


def _flip(data: bytes, rng: random.Random, _: Any) -> bytes:
    at = rng.randrange(max(len(data), 1))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else data


def _truncate(data: bytes, rng: random.Random, _: Any) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _delete(data: bytes, rng: random.Random, _: Any) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randrange(1, 32) :]


def _repeat(data: bytes, rng: random.Random, _: Any) -> bytes:
    at = rng.randrange(len(data) + 1)
    piece = data[at : at + rng.randrange(1, 64)]
    return data[:at] + piece * rng.choice([2, 3, 50]) + data[at + len(piece) :]


def _overwrite(data: bytes, rng: random.Random, _: Any) -> bytes:
    at = rng.randrange(len(data) + 1)
    junk = rng.choice([b"\xff" * 10, b"\x80" * 10, b"\x00" * 8, b"\xff\xff\xff\xff\x07", rng.randbytes(6)])
    return data[:at] + junk + data[at + len(junk) :]


def _splice(data: bytes, rng: random.Random, sound: dict[str, bytes]) -> bytes:
    other = rng.choice(list(sound.values()))
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


_BYTES: list[Bytes] = [_flip, _flip, _flip, _truncate, _delete, _repeat, _overwrite, _splice]

# -- fields ---------------------------------------------------------------------------------------------------------------

_NUMBERS = [0, 1, -1, 2, 7, 127, 255, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 40, (1 << 62), -(1 << 63), (1 << 63) - 1]
_NAMES = [
    "", "x", "y", "self", "class", "__init__", "forward", "a.b.c", "../up", "/abs", "0", "1.5", "naïve", "\0", "\n", "'''", '"', "\\", "{x}", "%s",
    "a" * 5000, "import os", "__torch__.M", "torch", "print(1)", "\x1b[31m", "Loop", "If", "Constant", ".", "..", "a..b", "None", "True",
]  # fmt: skip
_KINDS = [
    "If",
    "Loop",
    "Scan",
    "SequenceMap",
    "Identity",
    "Constant",
    "SequenceConstruct",
    "Optional",
    "twice",
    "outer",
    "NoSuchOp",
]


def _messages(root: Any) -> list[Any]:
    found, stack = [], [root]
    while stack:
        m = stack.pop()
        found.append(m)
        for field, value in m.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                stack.extend([value] if hasattr(value, "ListFields") else value)
    return found


def _any_field(model: ModelProto, rng: random.Random) -> None:
    """Set one field of one message to an extreme, an odd text or something that stands elsewhere."""
    message = rng.choice(_messages(model))
    field = rng.choice(message.DESCRIPTOR.fields)
    value = getattr(message, field.name)
    repeated = hasattr(value, "append") or hasattr(value, "add")
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if repeated and len(value) and rng.random() < 0.7:
            rng.choice(
                [lambda: value.add().CopyFrom(rng.choice(value)), lambda: value.__delitem__(rng.randrange(len(value)))]
            )()
        elif repeated:
            value.add()
        else:
            rng.choice([value.SetInParent, lambda: message.ClearField(field.name)])()
        return
    made = _scalar(field, rng)
    try:
        if not repeated:
            setattr(message, field.name, made)
        elif len(value) and rng.random() < 0.6:
            value[rng.randrange(len(value))] = made
        else:
            value.extend([made] * rng.choice([1, 2, 100]))
    except (ValueError, TypeError):  # out of the field's range
        pass


def _scalar(field: Any, rng: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(_NAMES)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.choice([b"", b"\xff\xfe", b"abc", rng.randbytes(rng.choice([3, 16, 1000]))])
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice([0.0, -0.0, 1e38, float("nan"), float("inf"), 5e-324])
    return rng.choice(_NUMBERS)


def _rename(model: ModelProto, rng: random.Random) -> None:
    """Give one value or node another name of the model, or an odd one."""
    nodes = [m for m in _messages(model) if m.DESCRIPTOR.name == "NodeProto"]
    if not nodes:
        return
    names = [*_NAMES, *(name for n in nodes for name in (*n.input, *n.output))]
    node = rng.choice(nodes)
    target = rng.choice([node.input, node.output])
    if len(target):
        target[rng.randrange(len(target))] = rng.choice(names)
    else:
        node.op_type = rng.choice(_KINDS)


def _swap(model: ModelProto, rng: random.Random) -> None:
    """Swap two messages of one kind."""
    by_kind: dict[str, list[Any]] = {}
    for m in _messages(model):
        by_kind.setdefault(m.DESCRIPTOR.name, []).append(m)
    kind = rng.choice([k for k, ms in by_kind.items() if len(ms) > 1] or [""])
    if not kind:
        return
    a, b = rng.sample(by_kind[kind], 2)
    first, second = type(a)(), type(a)()
    first.CopyFrom(a)
    second.CopyFrom(b)
    if first.ByteSize() + second.ByteSize() < 1 << 16:  # one inside the other grows
        a.CopyFrom(second)
        b.CopyFrom(first)


def _operator(model: ModelProto, rng: random.Random) -> None:
    """Make a node another operator, or of another domain."""
    nodes = [m for m in _messages(model) if m.DESCRIPTOR.name == "NodeProto"]
    if nodes:
        node = rng.choice(nodes)
        node.op_type = rng.choice([*_KINDS, *(n.op_type for n in nodes)])
        node.domain = rng.choice(["", "ai.onnx", "local", "com.microsoft", "ai.onnx.ml", "__torch__.M", node.domain])


def _nest(model: ModelProto, rng: random.Random) -> None:
    """Put a branch around the graph, many times."""
    for _ in range(rng.choice([1, 5, 20, 40])):
        graph = onnx.GraphProto()
        graph.CopyFrom(model.graph)
        names = [o.name for o in graph.output]
        branch = helper.make_graph(graph.node, "b", [], graph.output)
        other = helper.make_graph([helper.make_node("Identity", [n], [n + "_"]) for n in names], "e", [], [type(o)(name=o.name + "_") for o in graph.output])  # fmt: skip
        try:
            node = helper.make_node("If", ["c"], names, then_branch=branch, else_branch=other)
        except DecodeError:  # as deep as protobuf goes
            return
        if node.ByteSize() > 1 << 18:
            return
        del model.graph.node[:]
        model.graph.node.append(node)


def _tensor(model: ModelProto, rng: random.Random) -> None:
    """Make a tensor contradict itself."""
    tensors = [m for m in _messages(model) if m.DESCRIPTOR.name == "TensorProto"]
    if not tensors:
        return
    t = rng.choice(tensors)
    kind = rng.randrange(6)
    if kind == 0:
        del t.dims[:]
        t.dims.extend(rng.choices(_NUMBERS, k=rng.randrange(5)))
    elif kind == 1:
        t.data_type = rng.choice([*TensorProto.DataType.values(), 99])
    elif kind == 2:
        t.raw_data = rng.randbytes(rng.randrange(64))
    elif kind == 3:
        t.float_data.extend([1.0] * rng.randrange(20))
    elif kind == 4:
        t.data_location = TensorProto.EXTERNAL
        t.external_data.add(key=rng.choice(["location", "offset", "length", "other"]), value=rng.choice(_NAMES))
    else:
        t.string_data.append(b"\xff")


def _attribute(model: ModelProto, rng: random.Random) -> None:
    """Give an attribute another kind, or a node another attribute."""
    nodes = [m for m in _messages(model) if m.DESCRIPTOR.name == "NodeProto"]
    if not nodes:
        return
    node = rng.choice(nodes)
    if node.attribute and rng.random() < 0.6:
        rng.choice(node.attribute).type = rng.choice(AttributeProto.AttributeType.values())
    else:
        a = node.attribute.add(name=rng.choice(["axis", "body", "then_branch", "to", "value", *_NAMES]))
        a.type, a.i, a.s, a.ref_attr_name = (
            rng.choice([1, 2, 3, 4, 5, 7]),
            rng.choice(_NUMBERS),
            b"s",
            rng.choice(["", "", "factor"]),
        )


_FIELDS: list[Callable[[ModelProto, random.Random], None]] = [
    _any_field, _any_field, _any_field, _any_field, _rename, _rename, _swap, _operator, _nest, _tensor, _tensor, _attribute,
]  # fmt: skip
