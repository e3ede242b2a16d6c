"""Whether a ``Loop`` is the ``Scan`` or the ``SequenceMap`` that it was printed from: each iteration takes its element and keeps its results."""

from __future__ import annotations

import onnx
from onnx import AttributeProto

from bridge.exporters.onnx.same_values import NOTHING, Different, Node, Value, behind, is_true, kept_values, never_stops

__all__ = ["NOT_LOOPS", "Loops", "as_loop"]

#: What prints as a loop.
NOT_LOOPS = ("Scan", "SequenceMap")

Loops = set[tuple[Node, Node]]
_Pairs = list[tuple[Value, Value]]
_MAKE_SEQUENCES = frozenset(
    ("SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceMap", "SplitToSequence")
)
_UNKNOWN = frozenset(("If", "Loop", "Optional", "OptionalGetElement", "Scan"))


def as_loop(a: Value, b: Value, loops: Loops) -> _Pairs:
    """What must be the same for ``a`` of a Loop to be ``b`` of another kind; ``loops`` are the pairs of nodes so far. Raises Different."""
    scan = b.made_by.proto.op_type == "Scan"
    if b.kind == "parameter":
        return _scan_parameter(a, b, loops) if scan else _map_parameter(a, b, loops)
    return _scan_result(a, b, loops) if scan else _map_result(a, b, loops)


def _ints(n: Node, name: str, count: int) -> list[int]:
    a = n.attribute(name)
    return list(a.ints) if a is not None and a.type == AttributeProto.INTS else [0] * count


def _states(n: Node) -> int:
    """How many of a Scan's inputs are handed on. Raises Different for a Scan of opset 8, which is two loops."""
    count = n.attribute("num_scan_inputs")
    if count is None or len(n.body("body").graph.input) != len(n.proto.input):
        raise Different("a Scan of another form")
    return len(n.proto.input) - count.i


def _started(m: Node, n: Node, loops: Loops) -> bool:
    """Whether the two are paired for the first time. Raises Different for a Loop that may stop early."""
    if (m, n) in loops:
        return False
    if not (is_true(m.find(1)) and never_stops(m.body("body"), m)):
        raise Different("a loop that stops by itself")
    loops.add((m, n))
    return True


def _loop(v: Value) -> Node:
    if not v.is_op("Loop"):
        raise Different("no loop")
    return v.made_by


def _output(n: Node, position: int) -> Value:
    body = n.body("body")
    return body.find(body.graph.output[position].name)


def _scan_result(a: Value, b: Value, loops: Loops) -> _Pairs:
    n, pairs = b.made_by, []
    states = _states(n)
    if b.index >= states:
        a = _unturned(a, n, b.index - states)
    m = _loop(a)
    if _started(m, n, loops):
        axis = _ints(n, "scan_input_axes", len(n.proto.input) - states)[0]
        pairs.append((_measured(m.find(0), axis), n.find(states)))
    carried = len(m.proto.input) - 2
    if (a.index < carried) != (b.index < states):
        raise Different("what a loop carries and what it collects")
    if a.index < carried:
        pairs.append((m.find(a.index + 2), n.find(b.index)))
    pairs.append((_output(m, a.index + 1), _output(n, b.index)))
    return pairs


def _measured(trips: Value, axis: int) -> Value:
    """The value whose size along an axis the number is."""
    if trips.is_op("Gather"):
        shape, at = trips.made_by.find(0), trips.made_by.find(1)
        if shape.is_op("Shape") and not shape.made_by.all_attributes() and _number(at) == axis:
            return shape.made_by.find(0)
    raise Different("another number of iterations")


def _unturned(a: Value, n: Node, output: int) -> Value:
    """What a loop collected before it was put in the order and along the axis that a Scan has it."""
    axis = _ints(n, "scan_output_axes", output + 1)[output]
    if axis:
        order = _ints(a.made_by, "perm", 0) if a.is_op("Transpose") else []
        expected = list(range(1, len(order)))
        expected.insert(axis % max(len(order), 1), 0)
        if order != expected:
            raise Different("another axis of what a Scan collects")
        a = a.made_by.find(0)
    if _ints(n, "scan_output_directions", output + 1)[output]:
        if not a.is_op("Slice") or [_number(a.made_by.find(i)) for i in range(1, 5)] != [-1, -(1 << 63) + 1, 0, -1]:
            raise Different("another order of what a Scan collects")
        a = a.made_by.find(0)
    return a


def _number(v: Value) -> int | None:
    """The int that a constant is."""
    array = kept_values(v) if v.kind == "tensor" else None
    return int(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def _element(a: Value, n: Node, loops: Loops, op_type: str, axis: int = 0, backward: int = 0) -> Value:
    """The value of which ``a`` is the element of the present iteration."""
    at = behind(a.made_by.find(1)) if a.is_op(op_type) else NOTHING
    trips = NOTHING
    if backward:
        trips, at = _from_behind(at)
    if at.kind != "parameter" or at.index != 0 or (at.made_by, n) not in loops:
        raise Different("no element of the iteration")
    given = a.made_by.attribute("axis")
    if (given.i if given is not None else 0) != axis or (backward and trips is not at.made_by.find(0)):
        raise Different("an element along another axis, or another one")
    return a.made_by.find(0)


def _from_behind(at: Value) -> tuple[Value, Value]:
    """``n`` and ``i`` of ``n - i - 1``."""
    last = _plain_number(at)
    difference = _plain_number(last.made_by.find(0)) if last.is_op("Sub") else NOTHING
    if not difference.is_op("Sub") or _number(last.made_by.find(1)) != 1:
        raise Different("no element of the iteration")
    return _plain_number(difference.made_by.find(0)), difference.made_by.find(1)


def _plain_number(v: Value) -> Value:
    """A number that was made an int64 of no dimensions."""
    while v.is_op("Reshape") or (v.is_op("Cast") and v.made_by.all_attributes()["to"].i == onnx.TensorProto.INT64):
        v = v.made_by.find(0)
    return v


def _scan_parameter(a: Value, b: Value, loops: Loops) -> _Pairs:
    n = b.made_by
    states = _states(n)
    if b.index >= states:
        count = len(n.proto.input) - states
        axis, backward = (_ints(n, f"scan_input_{name}", count)[b.index - states] for name in ("axes", "directions"))
        return [(_element(a, n, loops, "Gather", axis, backward), n.find(b.index))]
    if a.kind != "parameter" or (a.made_by, n) not in loops or a.index < 2:
        raise Different("a value of another loop")
    m = a.made_by
    return [(m.find(a.index), n.find(b.index)), (_output(m, a.index - 1), _output(n, b.index))]


def _map_result(a: Value, b: Value, loops: Loops) -> _Pairs:
    m, n, pairs = _loop(a), b.made_by, []
    if _started(m, n, loops):
        trips = m.find(0)
        if not trips.is_op("SequenceLength"):
            raise Different("another number of iterations")
        pairs.append((trips.made_by.find(0), n.find(0)))
    grown = behind(_output(m, a.index + 1))
    if not grown.is_op("SequenceInsert") or len(grown.made_by.proto.input) != 2:
        raise Different("a sequence that grows otherwise")
    before = grown.made_by.find(0)
    own = before.kind == "parameter" and before.node is m and before.index == a.index + 2
    if not own or not m.find(a.index + 2).is_op("SequenceEmpty"):
        raise Different("a sequence that grows otherwise")
    return [*pairs, (grown.made_by.find(1), _output(n, b.index))]


def _map_parameter(a: Value, b: Value, loops: Loops) -> _Pairs:
    n = b.made_by
    outer = behind(n.find(b.index))
    if _is_sequence(outer):
        return [(_element(a, n, loops, "SequenceAt"), outer)]
    return [(a, outer)]


def _is_sequence(v: Value) -> bool:
    """Whether a value is a sequence. Raises Different where its maker does not tell."""
    if v.kind == "input":
        return bool(v.proto.type.HasField("sequence_type"))
    if v.kind == "result":
        domain, op_type, _ = v.made_by.key
        if domain or op_type in _UNKNOWN:
            raise Different(f"what {op_type} gives may be a sequence")
        return op_type in _MAKE_SEQUENCES
    if v.kind != "tensor":
        raise Different(f"a {v.kind} may be a sequence")
    return False
