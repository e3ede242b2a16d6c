"""A model of ONNX operators at another version of them: every node says there what it said, or the conversion is refused.

Operators that are not there yet become what their definition says they are, where that is a function of others. At the end every
node is looked up in the version that was asked for: its attributes, inputs and element types.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TypeProto, helper, numpy_helper

from bridge.exporters.onnx.opset_steps import DOWN, UP, Cannot, Edit, default_step
from bridge.ir.errors import LoweringError

__all__ = ["convert_opset"]

_DEFAULT = ("", "ai.onnx")
#: Before, operators said what they worked in place on.
_OLDEST = 6


def convert_opset(model: ModelProto, version: int) -> ModelProto:
    """The model with its ``ai.onnx`` operators at ``version``; weights, names and records are those of the model.

    Raises LoweringError listing every node that cannot be expressed there.
    """
    from bridge.exporters.onnx.export import OPSETS

    present = next((o.version for o in model.opset_import if o.domain in _DEFAULT), None)
    if present is None or present == version:
        return model
    if version not in OPSETS:
        raise LoweringError(f"opset_version must be {OPSETS[0]} to {OPSETS[-1]}, not {version!r}")
    if present < _OLDEST:
        raise LoweringError(f"the model is of opset {present}, and {_OLDEST} is the oldest that is converted")
    expanded: set[str] = set()
    failures: list[str] = []
    while True:
        try:
            converter = _Converter(model, present, version, expanded)
        except RuntimeError:  # onnx cannot say what its own definition comes to
            raise LoweringError(_listed(failures, version)) from None
        made = converter.run()
        failures = failures or converter.failures
        if not converter.failures:
            return made
        functions = converter.with_definition - expanded
        if not functions:
            raise LoweringError(_listed(converter.failures, version))
        expanded |= functions


def _listed(failures: list[str], version: int) -> str:
    count = len(failures)
    lines = [*failures[:20], *([f"… and {count - 20} more"] if count > 20 else [])]
    what = "a node" if count == 1 else f"{count} nodes"
    return f"{what} cannot be expressed at opset {version}:\n" + "\n".join(f"  {line}" for line in lines)


def _schema(op_type: str, version: int) -> onnx.defs.OpSchema | None:
    try:
        found = onnx.defs.get_schema(op_type, max_inclusive_version=version, domain="")
    except onnx.defs.SchemaError:
        return None
    return None if found.deprecated else found


_versions: dict[str, list[int]] = {}


def _versions_of(op_type: str) -> list[int]:
    """The versions in which an operator changed, oldest first."""
    if not _versions:
        for s in onnx.defs.get_all_schemas_with_history():
            if s.domain == "":
                _versions.setdefault(s.name, []).append(s.since_version)
        for found in _versions.values():
            found.sort()
    return _versions.get(op_type, [])


class _Converter:
    """Converts a copy of a model; ``failures`` are texts, ``with_definition`` the operators among them that are functions."""

    def __init__(self, model: ModelProto, present: int, version: int, expanded: set[str]) -> None:
        self.model = ModelProto()
        self.model.CopyFrom(model)
        if expanded:
            self.model = onnx.inliner.inline_selected_functions(
                self.model, [("", name) for name in sorted(expanded)], inline_schema_functions=True
            )
        self.present, self.version, self.expanded = present, version, expanded
        self.failures: list[str] = []
        self.with_definition: set[str] = set()
        self.types: dict[str, TypeProto] = {}
        self.constants: dict[str, Any] = {}
        self.taken: set[str] = set()
        #: Where constants go in a function; in a graph they are initializers of the outermost, one for each value.
        self.place: list[NodeProto] | None = None
        self.made: dict[tuple[Any, ...], str] = {}

    def run(self) -> ModelProto:
        self._learn()
        self._list(self.model.graph.node)
        for f in self.model.functions:
            self._function(f)
        self._set_version(self.model.opset_import)
        needed = helper.find_min_ir_version_for(list(self.model.opset_import), ignore_unknown=True)
        self.model.ir_version = max(self.model.ir_version, needed)
        if not self.failures:
            self._check()
        return self.model

    def _set_version(self, imports: Any) -> None:
        for o in imports:
            if o.domain in _DEFAULT:
                o.version = self.version

    # -- what is known -----------------------------------------------------------------------------------------------------

    def _learn(self) -> None:
        """Types, constants and names, of the model as it is."""
        self.types = _types(self.model)
        counts: Counter[str] = Counter()
        for nodes in _node_lists(self.model):
            for n in nodes:
                counts.update(n.output)
                self.taken.update(n.input)
                if n.op_type == "Constant" and n.domain in _DEFAULT and len(n.attribute) == 1:
                    self.constants[n.output[0]] = n.attribute[0]
        for g in _graphs(self.model.graph):
            self.taken.update(i.name for i in g.input)
            inputs = {i.name for i in g.input}
            for t in g.initializer:
                counts[t.name] += 1
                if t.name not in inputs:
                    self.constants[t.name] = t
        self.taken.update(counts)
        for name, count in counts.items():
            if count > 1:  # of several graphs: which one is meant is not asked
                self.constants.pop(name, None)
                self.types.pop(name, None)

    def type(self, name: str) -> TypeProto.Tensor | None:
        t = self.types.get(name)
        return t.tensor_type if t is not None and t.HasField("tensor_type") else None

    def constant(self, name: str) -> np.ndarray[Any, Any] | None:
        found = self.constants.get(name)
        if isinstance(found, AttributeProto):
            if found.ref_attr_name:
                return None
            value = helper.get_attribute_value(found)
            if not isinstance(value, onnx.TensorProto):
                return np.asarray(value) if found.name != "sparse_value" else None
            found = value
        if isinstance(found, onnx.TensorProto):
            return None if found.data_location == onnx.TensorProto.EXTERNAL else numpy_helper.to_array(found)
        return found if isinstance(found, np.ndarray) else None

    def fresh(self, like: str) -> str:
        name, number = like, 1
        while name in self.taken:
            name, number = f"{like}_{number}", number + 1
        self.taken.add(name)
        return name

    def make(self, value: np.ndarray[Any, Any], like: str) -> str:
        key = (str(value.dtype), value.shape, value.tobytes())
        if self.place is None and key in self.made:
            return self.made[key]
        name = self.fresh(like)
        self.constants[name] = value
        tensor = numpy_helper.from_array(value, name)
        if self.place is None:
            self.model.graph.initializer.append(tensor)
            self.made[key] = name
        else:
            self.place.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    # -- nodes -------------------------------------------------------------------------------------------------------------

    def _function(self, f: onnx.FunctionProto) -> None:
        own = next((o.version for o in f.opset_import if o.domain in _DEFAULT), self.present)
        outer, self.present = self.present, own
        self._list(f.node, f"function {f.name}")
        self.present = outer
        self._set_version(f.opset_import)

    def _list(self, nodes: Any, function: str = "") -> None:
        """Convert a graph's nodes, or those of the function that is named."""
        made: list[NodeProto] = []
        for n in nodes:
            for a in n.attribute:
                for g in (a.g, *a.graphs) if a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) else ():
                    self._list(g.node, function)
            if n.domain not in _DEFAULT:
                made.append(n)
                continue
            before: list[NodeProto] = []
            self.place = before if function else None
            edit = Edit(n, self)
            label = f"{_name(n)!r} ({n.op_type}{f', in {function}' if function else ''})"
            op_type = n.op_type
            try:
                self._convert(edit)
            except Cannot as why:
                self._fail(label, op_type, str(why))
            except (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError) as why:
                self._fail(label, op_type, f"its attributes or inputs are not what the operator takes ({why})")
            made += [*before, *edit.before, n, *edit.after]
        if len(made) != len(nodes):
            copies = []
            for n in made:
                copy = NodeProto()
                copy.CopyFrom(n)
                copies.append(copy)
            del nodes[:]
            nodes.extend(copies)

    def _fail(self, label: str, op_type: str, why: str) -> None:
        self.failures.append(f"{label}: {why}")
        schema = _schema(op_type, self.present)
        found: Any = schema  # whose stubs lack these two
        if schema is not None and (found.has_function or found.has_context_dependent_function):
            self.with_definition.add(op_type)

    def _convert(self, e: Edit) -> None:
        """Take the node through every version of its operator that lies between."""
        if _schema(e.node.op_type, self.present) is None:
            if not _versions_of(e.node.op_type):
                raise Cannot("ONNX has no such operator")
            raise Cannot(f"opset {self.present}, which the model asks for, does not have it")
        up = self.version > self.present
        at = self.present
        while True:
            steps = [v for v in _versions_of(e.node.op_type) if min(at, self.version) < v <= max(at, self.version)]
            if not steps:
                break
            step = steps[0] if up else steps[-1]
            self._step(e, step, up)
            at = step if up else step - 1
        if _schema(e.node.op_type, self.version) is None:
            raise Cannot("the operator is not there")

    def _step(self, e: Edit, version: int, up: bool) -> None:
        op_type = e.node.op_type
        special = (UP if up else DOWN).get((op_type, version))
        if special is not None:
            special(e)
        older, newer = _schema(op_type, version - 1), _schema(op_type, version)
        if e.node.op_type != op_type:
            return  # it is another operator now, of this version
        if older is None and not up:
            raise Cannot("the operator is not there yet")
        if newer is None:
            raise Cannot("the operator is not there any more")
        if older is not None:
            default_step(e, older, newer, up)

    # -- the result ----------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Note every node that its operator does not take: attributes, numbers of inputs and outputs, element types."""
        types = _types(self.model)
        for nodes in _node_lists(self.model):
            for n in nodes:
                schema = _schema(n.op_type, self.version) if n.domain in _DEFAULT else None
                if schema is not None:
                    why = _misfit(n, schema, {**self.types, **types})
                    if why:
                        self._fail(f"{_name(n)!r} ({n.op_type})", n.op_type, why)
        for o in (*self.model.graph.output,):
            before, after = self.types.get(o.name), types.get(o.name)
            if before is not None and after is not None and _kind(before) != _kind(after):
                self.failures.append(f"output '{o.name}' would be {_kind(after)}, and is {_kind(before)}")


def _name(n: NodeProto) -> str:
    """What errors call a node."""
    return n.name or (n.output[0] if n.output else "")


def _misfit(n: NodeProto, schema: onnx.defs.OpSchema, types: dict[str, TypeProto]) -> str:
    """What an operator does not take of a node; "" for nothing."""
    for a in n.attribute:
        if a.name not in schema.attributes:
            return f"there is no attribute '{a.name}'"
    missing = [
        name for name, a in schema.attributes.items() if a.required and name not in {a.name for a in n.attribute}
    ]
    if missing:
        return f"it needs the attribute '{missing[0]}'"
    given = len(n.input)
    if not schema.min_input <= given <= schema.max_input:
        return f"it has {given} inputs"
    if not schema.min_output <= len(n.output) <= schema.max_output:
        return f"it has {len(n.output)} outputs"
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    for names, formals in ((n.input, schema.inputs), (n.output, schema.outputs)):
        for i, name in enumerate(names):
            t = types.get(name)
            kind = _kind(t) if t is not None else ""
            formal = formals[min(i, len(formals) - 1)].type_str
            if kind and name and kind not in allowed.get(formal, [formal]):
                return f"it does not take {kind} for '{formals[min(i, len(formals) - 1)].name}'"
    return ""


def _kind(t: TypeProto) -> str:
    """A type as schemas write it; "" for one that is not known whole."""
    if t.HasField("tensor_type"):
        code = t.tensor_type.elem_type
        return f"tensor({onnx.TensorProto.DataType.Name(code).lower()})" if code else ""
    for field, name in (("sequence_type", "seq"), ("optional_type", "optional")):
        if t.HasField(field):
            inside = _kind(getattr(t, field).elem_type)
            return f"{name}({inside})" if inside else ""
    return ""


def _types(model: ModelProto) -> dict[str, TypeProto]:
    """The types of values, as declared and inferred."""
    try:
        known = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError):
        known = model
    types: dict[str, TypeProto] = {}
    for g in _graphs(known.graph):
        for t in g.initializer:
            types[t.name] = helper.make_tensor_type_proto(t.data_type, list(t.dims))
        for v in (*g.value_info, *g.input, *g.output):
            types[v.name] = v.type
    return types


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    stack = [graph]
    while stack:
        g = stack.pop()
        yield g
        stack += _inner(g.node)


def _inner(nodes: Iterable[NodeProto]) -> list[GraphProto]:
    graphs = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    return [g for n in nodes for a in n.attribute if a.type in graphs for g in (a.g, *a.graphs) if g.ByteSize()]


def _node_lists(model: ModelProto) -> Iterator[Any]:
    for g in _graphs(model.graph):
        yield g.node
    for f in model.functions:
        yield f.node
        for inner in _inner(f.node):
            for g in _graphs(inner):
                yield g.node
