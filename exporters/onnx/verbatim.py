"""Programs of ONNX operators → the nodes that they name, one for one.

A program that calls ``ops.onnx.…`` and is otherwise made of control flow, constants, tuples and calls needs no types to be
written: its statements are the nodes. That is what a printed model is, so that exporting it gives the model that was printed.
In a program that says so (``Graph.exact``) an operator of torch that is one node is that node.
A loop is a ``Loop``, a list that each iteration appends to and ``stacked`` joins is a scan output, ``int(n)`` and ``bool(c)`` are
the tensors themselves. Any other statement raises :class:`NotVerbatim`; then the typed lowering is what can write the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from bridge.exporters.onnx.foreign import onnx_attribute, onnx_tensor, split_kind, type_proto
from bridge.exporters.onnx.large import Arrays
from bridge.exporters.onnx.one_node import ELEMENT_TYPES, OneNode, OneNodes
from bridge.exporters.onnx.verbatim_statements import HANDLERS, hint_of, inside_call
from bridge.exporters.onnx.verbatim_values import Counter, Gone, Items, Name, NotVerbatim, Number, Object, Scope
from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.dtypes import known_onnx
from bridge.ir.errors import LoweringError
from bridge.ir.foreign import StoredAttribute
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_facts import Facts
from bridge.ir.node_schema import operator_of
from bridge.ir.readings import Operand

__all__ = ["NotVerbatim", "Writer", "write_verbatim"]


def write_verbatim(
    owner: ScriptObject | None, function: Function, types: Mapping[str, T.Type] | None = None
) -> tuple[onnx.ModelProto, Any, dict[str, str], Arrays, set[str]]:
    """The model of a program of ONNX operators, its results as nested tuples of output numbers, where initializers come from,
    the values of the large ones, and the names of results that the program gives.

    The third maps the name of an initializer to the path of the module's attribute, the fourth to an array that the model does not hold.

    ``types`` are the types of inputs by argument name where annotations do not tell them. Raises NotVerbatim for programs that
    have other statements, LoweringError for an input whose element type nobody tells.
    """
    graph = function.graph
    if not graph.opsets:
        raise NotVerbatim("no ONNX operator is called")
    w = Writer(owner)
    results = w.run(function, types or {})
    return w.model, results, {name.name: path for path, name in w.initializers.items()}, w.arrays, w.called


@dataclass(slots=True, frozen=True)
class _Written:
    """What a statement became: its node, what its results are called and are, and the node's attributes."""

    one: OneNode
    hints: list[str]
    facts: list[tuple[Any, Any]]
    attributes: list[AttributeProto]


class Writer:
    """Writes one model."""

    def __init__(self, owner: ScriptObject | None) -> None:
        self.owner = owner
        self.model = onnx.ModelProto()
        self.scope = Scope(self.model.graph)
        self.values: dict[Value, Any] = {}
        self.taken: set[str] = set()
        #: By the first part of a name, the number from which names may be free.
        self.numbers: dict[str, int] = {}
        self.one_node = OneNodes()
        self.initializers: dict[str, Name] = {}
        self.arrays: Arrays = {}
        self.opsets: dict[str, int] = {}
        self.calling: list[Function] = []
        self.exact = ""
        self.written: dict[str, frozenset[str]] = {}
        #: Element types and sizes by ONNX name, as far as nodes tell them, and small constants.
        self.facts = Facts(ELEMENT_TYPES)
        self.small: dict[str, np.ndarray[Any, Any]] = {}
        #: How the statements of a block are written, and what a statement became for arguments of the same kinds: methods are called again and again.
        self.steps: dict[Block, list[tuple[Node, Any, list[Value]]]] = {}
        self.alike: dict[Any, _Written] = {}
        #: What results of the model are called, by the value that will be one; nothing else takes these names.
        self.named: dict[Value, str] = {}
        #: The names that the program itself gives to inputs and results of the model.
        self.called: set[str] = set()

    # -- the model -------------------------------------------------------------------------------------------------

    def run(self, function: Function, types: Mapping[str, T.Type]) -> Any:
        graph = function.graph
        self._note_opsets(graph)
        self.exact, self.written = graph.exact, graph.written
        given = list(zip(function.schema.arguments, graph.inputs, strict=True))
        if self.owner is not None:
            self.values[given.pop(0)[1]] = Object(self.owner, "")
        self.taken |= {graph.names.get(a.name, a.name) for a, _ in given}
        for a, v in given:
            name = graph.names.get(a.name, a.name)
            self.values[v] = Name(name)
            self.scope.own.add(name)
            info = self.model.graph.input.add(name=name)
            info.type.CopyFrom(_input_type(a.name, a.type, types.get(a.name), graph.input_hints.get(a.name), function))
            tensor = info.type.tensor_type
            dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
            self.facts.tell(name, known_onnx(tensor.elem_type), dims if tensor.HasField("shape") else None)
        self._name_results(graph)
        self.block(graph.block)
        outputs: list[str] = []
        results = self._results(self.get(graph.outputs[0]), outputs)
        g = self.model.graph
        g.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        g.name = self.owner.type.name.rpartition(".")[2] if self.owner is not None else function.name
        self.model.producer_name = "scriptbridge"
        for domain, version in self.opsets.items():
            self.model.opset_import.add(domain=domain, version=version)
        imports = list(self.model.opset_import)
        self.model.ir_version = max(10, helper.find_min_ir_version_for(imports, ignore_unknown=True))
        _declare_outputs(self.model, graph.output_hints)
        return results

    def _results(self, v: Any, outputs: list[str]) -> Any:
        if isinstance(v, tuple):
            return tuple(self._results(x, outputs) for x in v)
        if v is None:
            return None
        name = self.name(v)
        if name in outputs or name in {i.name for i in self.model.graph.input} or name in self.initializers:
            name = self.emit("Identity", [name], name).name
        outputs.append(name)
        return len(outputs) - 1

    def _name_results(self, graph: Graph) -> None:
        """Results of the model are called as the program calls them, also where a method makes them."""
        result = graph.outputs[0]
        for v in result.node.inputs if result.node.kind == "prim::TupleConstruct" else [result]:
            name = graph.names.get(v.debug_name_base, v.debug_name_base) if v.has_debug_name else ""
            if v not in self.named and name and name not in self.taken and self._is_made(v):
                self.named[v] = name
                self.taken.add(name)
                self.called.add(name)

    def _is_made(self, v: Value, depth: int = 0) -> bool:
        """Whether a statement, here or in a method, gives the value its name."""
        n = v.node
        if n.kind in ("prim::CallMethod", "prim::CallFunction", "prim::TupleUnpack"):
            inner = inside_call(v)
            return inner is not None and depth < 50 and self._is_made(inner, depth + 1)
        namespace = n.kind.partition("::")[0]
        if namespace in ("aten", "prim"):
            return n.kind in ("prim::If", "prim::Loop") or (bool(self.exact) and namespace == "aten" and _of_tensors(n))
        return True

    def _note_opsets(self, graph: Graph) -> None:
        for domain, version in graph.opsets.items():
            if self.opsets.setdefault(domain, version) != version:
                raise LoweringError(f"the program uses two versions of the ONNX domain '{domain}'")

    # -- values ----------------------------------------------------------------------------------------------------

    def get(self, v: Value) -> Any:
        found = self.values[v]
        if isinstance(found, Gone):
            raise NotVerbatim("a loop's own number is used after it", v.node.range)
        return found

    def name(self, v: Any) -> str:
        """The ONNX name of a value that a node takes."""
        if isinstance(v, Name):
            return v.name
        if v is None:
            return ""
        if isinstance(v, np.ndarray):
            return self.constant(v).name
        if isinstance(v, Items):
            if v.stacked is not None or not v.items:
                raise NotVerbatim("a list that a loop fills is used as a list")
            return self.emit("SequenceConstruct", [self.name(i) for i in v.items], "list").name
        raise NotVerbatim("a Python value is given to an ONNX operator")

    def number(self, v: Any) -> str:
        """The ONNX name of an int, as a 0-d int64 tensor."""
        if isinstance(v, int) and not isinstance(v, bool):
            return self.constant(np.array(v, np.int64)).name
        if isinstance(v, Counter):
            if not v.scope.counter:
                raise NotVerbatim("a loop's number is used where it is not known")
            if not v.more:
                return v.scope.counter
            return self.emit("Add", [v.scope.counter, self.number(v.more)], "i").name
        if isinstance(v, Number):
            cast = self.emit("Cast", [v.of.name], f"{v.of.name}_int", to=TensorProto.INT64)
            return self.emit("Reshape", [cast.name, self.constant(np.empty(0, np.int64)).name], v.of.name).name
        raise NotVerbatim("a number that no tensor holds is used")

    def constant(self, array: np.ndarray[Any, Any]) -> Name:
        """A Constant node; one per value and graph."""
        text = repr(array.tolist()) if array.dtype.kind == "O" else array.tobytes()
        key = (str(array.dtype), array.shape, text)
        scope: Scope | None = self.scope
        while scope is not None:
            if key in scope.constants:
                return scope.constants[key]
            scope = scope.outer
        if self.exact == "initializers" or (self.opsets.get("", 9) < 9 and array.dtype.kind != "f"):
            return self._initializer(key, array)  # before opset 9 a Constant was of floats
        node = self.scope.graph.node.add(op_type="Constant")
        made = self.scope.constants[key] = self.fresh("constant")
        node.output.append(made.name)
        attribute = node.attribute.add(name="value", type=AttributeProto.TENSOR)
        attribute.t.CopyFrom(onnx_tensor(array))
        self._note_constant(made.name, array)
        return made

    def _initializer(self, key: Any, array: np.ndarray[Any, Any]) -> Name:
        """The constant as an initializer of the model."""
        outermost = self.scope
        while outermost.outer is not None:
            outermost = outermost.outer
        made = outermost.constants[key] = self.fresh("constant")
        self.scope.own.discard(made.name)
        self.model.graph.initializer.append(onnx_tensor(array, made.name))
        self._note_constant(made.name, array)
        return made

    def _note_constant(self, name: str, array: np.ndarray[Any, Any]) -> None:
        self.facts.tell_array(name, array)
        self.small[name] = array

    def fresh(self, hint: str) -> Name:
        """A new value of this graph."""
        name, number = hint, self.numbers.get(hint, 1)
        while name in self.taken:
            name, number = f"{hint}_{number}", number + 1
        self.taken.add(name)
        self.numbers[hint] = number
        self.scope.own.add(name)
        return Name(name)

    def made(self, v: Value, hint: str | None = None) -> Name:
        """The name of a value of the program."""
        name = self.named.pop(v, None) if self.named else None
        if name is None:
            return self.fresh(hint if hint is not None else hint_of(v))
        self.scope.own.add(name)
        return Name(name)

    def emit(self, op_type: str, inputs: Sequence[str], hint: str, **attributes: Any) -> Name:
        """A node of one result in the default domain."""
        node = self.scope.graph.node.add(op_type=op_type)
        node.input.extend(inputs)
        made = self.fresh(hint)
        node.output.append(made.name)
        node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
        self._note_types(op_type, "", inputs, attributes, [made])
        return made

    def _note_types(
        self, op_type: str, domain: str, inputs: Sequence[str], attributes: Mapping[str, Any], made: Sequence[Name]
    ) -> None:
        if self.exact:
            constants = [self.small.get(name) for name in inputs]
            names = [m.name for m in made]
            self.facts.node(op_type, domain, self.opsets.get(domain, 0), inputs, constants, attributes, names)

    # -- statements --------------------------------------------------------------------------------------------------

    def block(self, block: Block) -> None:
        steps = self.steps.get(block)
        if steps is None:
            steps = self.steps[block] = [(n, self._handler(n), list(n.outputs)) for n in block.nodes]
        for node, handler, outputs in steps:
            result = handler(self, node)
            if len(outputs) == 1:
                self.values[outputs[0]] = result
            elif outputs:
                self.values.update(zip(outputs, result, strict=True))

    def _handler(self, node: Node) -> Any:
        namespace = node.kind.partition("::")[0]
        if namespace not in ("aten", "prim"):
            return Writer.operator
        if self.exact and namespace == "aten" and _of_tensors(node):
            return Writer.torch_operator
        return HANDLERS.get(node.kind, _refused)

    def operator(self, node: Node) -> Any:
        """The node that the statement names."""
        if node.blocks:
            raise NotVerbatim(f"{node.kind} holds graphs", node.range)
        inputs = [self.name(self.get(v)) for v in node.inputs]
        while inputs and not inputs[-1]:
            inputs.pop()
        proto = self.scope.graph.node.add()
        domain, proto.op_type = split_kind(node.kind)
        if domain:
            proto.domain = domain
        proto.input.extend(inputs)
        made = [self.made(v) for v in node.outputs]
        proto.output.extend(m.name for m in made)
        for name, value in node.attributes.items():
            if isinstance(value, StoredAttribute):
                raise LoweringError(f"attribute '{name}' is not loaded", node.range)
            proto.attribute.append(onnx_attribute(name, value, node))
        self._note_types(proto.op_type, domain, inputs, node.attributes, made)
        return made[0] if len(made) == 1 else made

    def torch_operator(self, node: Node) -> Any:
        """The one node that a torch operator on tensors is. Raises NotVerbatim where it is not one."""
        given = [self.get(v) for v in node.inputs]
        if node.kind == "aten::slice" and given[2:] == [None, None, 1]:  # the `:` of `x[:, 1]`
            return given[0]
        key = self._key(node, given)
        found = self.alike.get(key) if key is not None else None
        names: list[str] = [v.name for v in given if type(v) is Name] if found is not None else []
        one = found.one if found is not None else self._one_node(node, given, names)
        inputs = ["" if i is None else names[i] if isinstance(i, int) else self.constant(i).name for i in one.inputs]
        proto = self.scope.graph.node.add(op_type=one.op_type)
        proto.input.extend(inputs)
        listed = isinstance(node.outputs[0].type, T.ListType)
        results = _unpacked(node) if listed else node.outputs
        hints = found.hints if found is not None else [hint_of(v) for v in results]
        made = [self.made(v, hint) for v, hint in zip(results, hints, strict=True)]
        proto.output.extend([m.name for m in made])
        if found is None:
            self._note_types(one.op_type, "", inputs, one.attributes, made)
            proto.attribute.extend(onnx_attribute(name, value, node) for name, value in one.attributes.items())
            if key is not None:
                facts = [(self.facts.dtypes.get(m.name), self.facts.sizes.get(m.name)) for m in made]
                self.alike[key] = _Written(one, hints, facts, list(proto.attribute))
        else:
            for m, (dtype, sizes) in zip(made, found.facts, strict=True):
                self.facts.dtypes[m.name], self.facts.sizes[m.name] = dtype, sizes
            if found.attributes:
                proto.attribute.extend(found.attributes)
        if listed:
            return Items(self.scope, made)
        return made[0] if len(made) == 1 else made

    def _key(self, node: Node, given: Sequence[Any]) -> Any:
        """All that decides what a statement becomes; None where that is more than element types, sizes and numbers."""
        parts: list[Any] = [node]
        for v in given:
            if type(v) is Name:
                if v.name in self.small:
                    return None
                parts.append((self.facts.dtypes.get(v.name), self.facts.sizes.get(v.name)))
            elif v is None or isinstance(v, bool | int | float | str):
                parts.append(repr(v))  # 1, 1.0 and True are equal, and so are 0.0 and -0.0
            else:
                return None
        return tuple(parts)

    def _one_node(self, node: Node, given: Sequence[Any], names: list[str]) -> OneNode:
        operator = operator_of(node)
        arguments = [self._argument(v, names, node) for v in given]
        opset = self.opsets.get("", 0)
        one = self.one_node(operator, arguments, opset) if operator is not None else None
        if one is None:
            raise NotVerbatim(f"{node.kind} is not one ONNX node", node.range)
        return self.one_node.styled(one, self.written.get(one.op_type), opset)

    def _argument(self, v: Any, names: list[str], node: Node) -> Any:
        """An argument as :func:`one_node` takes it; ``names`` receives those of tensors."""
        if isinstance(v, Items) and v.stacked is None:
            v = v.items
        if isinstance(v, list):
            return [self._argument(x, names, node) for x in v]
        if isinstance(v, np.ndarray):
            v = self.constant(v)
        if isinstance(v, Name):
            dtype = self.facts.dtypes.get(v.name)
            if dtype is None:
                raise NotVerbatim(f"{node.kind} of a tensor whose element type is not known", node.range)
            names.append(v.name)
            return Operand(len(names) - 1, dtype, self.facts.sizes.get(v.name))
        if v is None or isinstance(v, bool | int | float | str):
            return v
        raise NotVerbatim(f"{node.kind} of what only run time knows", node.range)

    def inputs(self, node: Node) -> list[Any]:
        return [self.get(v) for v in node.inputs]

    def call(self, function: Function, arguments: Sequence[Any], node: Node) -> Any:
        """The statements of a function, in the place of its call."""
        if function in self.calling or len(self.calling) > 50:
            raise LoweringError(f"function '{function.name}' calls itself", node.range)
        graph = function.graph
        self._note_opsets(graph)
        before = self.values
        self.values = dict(zip(graph.inputs, arguments, strict=True))
        self.calling.append(function)
        handed = [(o, v) for o in self.named if (v := inside_call(o, node)) is not None] if self.named else []
        for outer, inner in handed:
            self.named[inner] = self.named.pop(outer)
        self.block(graph.block)
        for _, inner in handed:
            self.named.pop(inner, None)
        self.calling.pop()
        result = self.get(graph.outputs[0])
        self.values = before
        return result

    # -- subgraphs -----------------------------------------------------------------------------------------------------

    def results(self, block: Block) -> list[Any]:
        return [self.get(v) for v in block.outputs]

    def output(self, v: Any, names: list[str]) -> None:
        """Make a value an output of the present subgraph: one that was made here and is not listed yet."""
        name = self.name(v)
        if name not in self.scope.own or name in names:
            name = self.emit("Identity", [name], name).name
        names.append(name)


def _refused(w: Writer, node: Node) -> Any:
    raise NotVerbatim(f"{node.kind} is no ONNX operator", node.range)


def _of_tensors(node: Node) -> bool:
    """Whether the node makes tensors of tensors."""
    given = any(
        isinstance(v.type.element if isinstance(v.type, T.ListType) else v.type, T.TensorType) for v in node.inputs
    )
    made = all(isinstance(v.type, T.TensorType) or _is_unpacked(v) for v in node.outputs)
    return given and bool(node.outputs) and made


def _is_unpacked(v: Value) -> bool:
    """Whether a list of tensors is only taken apart."""
    listed = isinstance(v.type, T.ListType) and isinstance(v.type.element, T.TensorType)
    return listed and v.use_count == 1 and next(iter(v.uses)).user.kind == "prim::ListUnpack"


def _unpacked(node: Node) -> list[Value]:
    return list(next(iter(node.output.uses)).user.outputs)


def _input_type(name: str, t: T.Type, given: T.Type | None, hint: T.Type | None, function: Function) -> onnx.TypeProto:
    if isinstance(given, T.TensorType) and isinstance(hint, T.TensorType):
        same = hint.dtype in (given.dtype, None) and (hint.rank is None or hint.rank == given.rank)
        found: T.Type = T.TensorType(given.dtype, hint.dims if same and hint.dims is not None else given.dims)
    else:
        found = hint if isinstance(hint, T.OptionalType) else given or hint or t
    if not any(isinstance(i, T.TensorType | T.SimpleType) for i in found.walk()):
        raise NotVerbatim(f"input '{name}' is a {found}")
    if any(isinstance(i, T.TensorType) and i.dtype is None for i in found.walk()):
        raise LoweringError(
            f"the element type of input '{name}' is not known: give example arguments, or annotate it as "
            f'Annotated[Tensor, "float32[?, 3]"]',
            function.graph.param_node.range,
        )
    return type_proto(found)


def _declare_outputs(model: onnx.ModelProto, hints: Sequence[T.Type]) -> None:
    """Give the outputs the types that annotations or onnx's inference tell; where both are silent, the runtime will know."""
    if len(hints) == len(model.graph.output):
        for o, hint in zip(model.graph.output, hints, strict=True):
            o.type.CopyFrom(type_proto(hint))
        return
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, ValueError):
        return
    for o, known in zip(model.graph.output, inferred.graph.output, strict=True):
        o.type.CopyFrom(known.type)
