"""Records torch's graphs, printed Python and pass results: ``python tests/goldens/record_ir.py FILE…`` (torch==2.13.0).

A FILE is a Python module with ``FEATURES`` (name → (source, …, entry, accepted) after a ``PRELUDE``) or ``ENTRIES`` (with
``name`` and ``factory``). Everything in them that torch scripts, with all functions, methods and submodules, goes into
``goldens/torch/ir_functions.json.xz``, what :mod:`support.graphs` reads.
"""

import collections
import copy
import importlib.util
import json
import lzma
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

OUT = Path(__file__).resolve().parent / "torch" / "ir_functions.json.xz"
PASSES = {
    "cse": torch._C._jit_pass_cse,
    "dead_code": torch._C._jit_pass_dce,
    "constant_propagation_immutable": torch._C._jit_pass_constant_propagation_immutable_types,
    "constant_propagation": torch._C._jit_pass_constant_propagation,
    "constant_pooling": torch._C._jit_pass_constant_pooling,
    "lower_all_tuples": torch._C._jit_pass_lower_all_tuples,
    "inline": torch._C._jit_pass_inline,
    "peephole": torch._C._jit_pass_peephole,
}


def all_nodes(block: Any) -> Any:
    for n in block.nodes():
        yield n
        for b in n.blocks():
            yield from all_nodes(b)
        if n.hasAttribute("Subgraph"):
            yield from all_nodes(n.g("Subgraph"))


def all_values(graph: Any) -> Any:
    yield from graph.inputs()
    for n in all_nodes(graph):
        for b in n.blocks():
            yield from b.inputs()
        yield from n.outputs()


def field_names(t: Any) -> list[str] | None:
    g = torch._C.Graph()
    g.addInput("x").setType(t)
    m = re.match(r"graph\(%x : NamedTuple\((.*)\)\):\n", str(g))
    if m is None:
        return None
    depth, fields, word = 0, [], ""
    for c in m[1] + ",":
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            fields.append(word.split(" : ")[0].strip())
            word = ""
        else:
            word += c
    return fields


def note_types(t: Any, names: dict[str, Any]) -> None:
    kind = t.kind()
    if kind == "TupleType" and (fields := field_names(t)) is not None:
        names[t.annotation_str] = ["tuple", [[f, e.annotation_str] for f, e in zip(fields, t.elements(), strict=True)]]
    elif kind == "InterfaceType":
        names[t.annotation_str] = ["interface"]
    elif kind == "EnumType":
        names[t.annotation_str] = ["enum"]
    elif kind == "ClassType":
        if t.annotation_str in names:
            return
        names[t.annotation_str] = ["class", [c.annotation_str for c in t.containedTypes()]]
    for inside in t.containedTypes():
        note_types(inside, names)


def record(program: str, fn: Any, qualified: str, method: bool, graph: Any) -> dict[str, Any]:
    names: dict[str, Any] = {}
    tensors, functions = {}, {}
    for v in all_values(graph):
        note_types(v.type(), names)
    for n in all_nodes(graph):
        if n.kind() == "prim::isinstance":
            for t in n.tys("types"):
                note_types(t, names)
        if n.kind() != "prim::Constant":
            continue
        if n.output().type().kind() == "FunctionType":
            functions[n.output().debugName()] = n.output().type().annotation_str
        elif n.hasAttribute("value") and n.kindOf("value") == "t":
            t = n.t("value")
            values = torch.view_as_real(t).tolist() if t.is_complex() else t.tolist()
            tensors[n.output().debugName()] = [str(t.dtype)[6:], list(t.shape), values]
    schema = fn.schema
    arguments = []
    for a in schema.arguments:
        note_types(a.type, names)
        arguments.append(
            [a.name, a.type.annotation_str, a.N] + ([repr(a.default_value)] if a.has_default_value() else [])
        )
    passes = {}
    for name, run in PASSES.items():
        changed = graph.copy()
        try:
            run(changed)
        except RuntimeError as e:
            passes[name] = f"error: {str(e).splitlines()[0]}"
            continue
        if str(changed) != str(graph.copy()):
            passes[name] = str(changed)
    note_types(schema.returns[0].type, names)
    return {
        "program": program, "qualified": qualified, "method": method, "graph": str(graph), "code": fn.code, "arguments": arguments, "returns": schema.returns[0].type.annotation_str, "names": names,
        "tensors": tensors, "functions": functions, "passes": passes,
    }  # fmt: skip


def encoded(value: Any) -> Any:
    """A value as JSON. Raises TypeError for what has no place there."""
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            raise TypeError("complex")
        return {"tensor": [str(value.dtype)[6:], list(value.shape), value.tolist()]}
    if isinstance(value, list):
        return {"list": [encoded(v) for v in value]}
    if isinstance(value, tuple):
        return {"tuple": [encoded(v) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[encoded(k), encoded(v)] for k, v in value.items()]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(type(value).__name__)


def runs_of(made: Any, argument_sets: Any) -> list[Any]:
    """(arguments, result) pairs, or (arguments, {"raises": …}); empty when they are random or cannot be written down."""
    found = []
    try:
        for args in argument_sets():
            before = [encoded(a) for a in args]
            results = []
            for seed in (1, 2):
                torch.manual_seed(seed)
                try:
                    results.append(encoded(made(*copy.deepcopy(args))))
                except RuntimeError as e:
                    results.append({"raises": str(e).strip().splitlines()[-1]})
            if repr(results[0]) != repr(results[1]):
                return []
            found.append([before, results[0]])
    except TypeError:
        return []
    return found


def module_methods(module: Any) -> Any:
    for name in module._method_names():
        method = module._get_method(name)
        yield f"{module._type().qualified_name()}.{name}", method
    for child in dict(torch._C.ModuleDict(module).items()).values():
        yield from module_methods(child)


def programs(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    for entry in getattr(module, "ENTRIES", ()):
        yield entry.name, lambda entry=entry: (entry.ts or (lambda: torch.jit.script(entry.factory())))(), entry.inputs
    with tempfile.TemporaryDirectory() as folder:
        for i, (name, feature) in enumerate(getattr(module, "FEATURES", {}).items()):
            file = Path(folder) / f"feature_{i}.py"
            file.write_text(module.PRELUDE + feature.source + "\n")

            def compiled(file: Path = file, feature: Any = feature) -> Any:
                spec = importlib.util.spec_from_file_location(file.stem, file)
                assert spec is not None
                assert spec.loader is not None
                loaded = importlib.util.module_from_spec(spec)
                sys.modules[file.stem] = loaded
                spec.loader.exec_module(loaded)
                entry = getattr(loaded, feature.entry)
                return torch.jit.script(entry() if isinstance(entry, type) else entry)

            def arguments(file: Path = file, feature: Any = feature) -> Any:
                return [eval(f"({feature.args},)" if feature.args else "()", vars(sys.modules[file.stem]))]

            yield name, compiled, arguments


def main() -> None:
    warnings.simplefilter("ignore")
    records: list[dict[str, Any]] = []
    seen: set[str] = set()
    refused: collections.Counter[str] = collections.Counter()
    for path in map(Path, sys.argv[1:]):
        for name, make, arguments in programs(path):
            try:
                made = make()
            except Exception as e:
                refused[type(e).__name__] += 1
                continue
            found = [(f.qualified_name, f, False) for f in torch.jit._state._python_cu.get_functions()]
            if isinstance(made, torch.jit.ScriptModule):
                found += [(q, m, True) for q, m in module_methods(made._c)]
            for qualified, fn, method in found:
                try:
                    key = f"{qualified} {fn.code}"
                except (IndexError, RuntimeError):  # what a program that was refused left behind
                    continue
                if key not in seen:
                    seen.add(key)
                    records.append(record(name, fn, qualified, method, fn.graph))
                    if not method and qualified == getattr(made, "qualified_name", None):
                        records[-1]["runs"] = runs_of(made, arguments)
                    inlined = fn.graph.copy()
                    torch._C._jit_pass_inline(inlined)
                    if str(inlined) != str(fn.graph.copy()):
                        # Passes find more to do in graphs that nobody cleaned up.
                        records.append(record(name, fn, qualified, method, inlined) | {"inlined": True})
    text = json.dumps(records, indent=0)
    text = re.sub(r"/(?:[\w.-]+/)+(?=[\w.-]+\.py:)", "", text)
    OUT.write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{len(records)} functions; refused by torch: {dict(refused)}")


if __name__ == "__main__":
    main()
