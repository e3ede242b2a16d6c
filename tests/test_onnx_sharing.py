"""In-place writes to what may be shared: the results are those of running the program, or the export is refused."""

import functools
import importlib.util
import linecache
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.shared_writes import (
    a_cache_of_every_layer,
    added_to_a_list_in_a_loop,
    another_of_a_dict,
    elements_in_branches_and_loops,
    exchanged_again_in_a_loop,
    exchanged_and_listed,
    exchanged_in_two_loops,
    exchanged_on_some_paths,
    exchanged_while,
    exchanged_with_a_view_before,
    exchanged_with_a_view_behind,
    held_by_tuples_in_a_list,
    kept_in_a_dict,
    lost_by_an_exchange,
    named_after_it_was_listed,
    one_tensor_exchanged,
    one_tensor_in_two_lists,
    one_tensor_twice_in_a_list,
    put_anywhere_into_a_list,
    replaced_after_it_was_taken,
    rows_of_a_table,
    rows_of_an_edit_distance,
    taken_out_before,
    the_last_of_a_list,
    two_buffers_by_number,
)

import bridge as torch
import bridge.onnx
from bridge import Tensor
from bridge.exporters.onnx.report import ExportError

ESCAPES = (True, False)
TRIPS = (0, 1, 3)


def taken_by_a_branch(x, flag: bool):
    y = x * 2
    e = x + 0
    if flag:
        e = y
    y.add_(10)
    return e, y


def written_through_the_branch(x, flag: bool):
    y = x * 2
    e = x + 0
    if flag:
        e = y
    e.add_(10)
    return e, y


def two_names_out_of_a_branch(x, flag: bool):
    t = x * 2
    e = x + 1
    f = x + 2
    if flag:
        e = t
        f = t
    e.add_(5)
    return e, f


def a_view_out_of_a_branch(x, flag: bool):
    y = x * 2
    e = x[0]
    if flag:
        e = y[0]
    y.add_(10)
    return e, y


def held_by_a_tuple(x, flag: bool):
    y = x * 2
    e = (y, y)
    if flag:
        e = (y, x)
    y.add_(10)
    return e[0], y


def held_by_a_list(x, flag: bool):
    y = x * 2
    held = [y]
    if flag:
        held.append(x)
    y.add_(10)
    return held[0], y


def written_in_a_branch_too(x, flag: bool):
    y = x * 2
    if flag:
        y.add_(1)
        e = y
    else:
        e = x + 0
    e.add_(3)
    return e, y


def taken_by_a_loop(x, n: int):
    y = x * 2
    e = x + 0
    for _i in range(n):
        e = y
    y.add_(10)
    return e, y


def carried_by_a_loop(x, n: int):
    h = x * 2
    y = h
    for _i in range(n):
        y += 1
    return h, y


def swapped_by_a_loop(x, n: int):
    y = x * 2
    e = x + 0
    i = 0
    while i < n:
        e.add_(1)
        e = y
        i += 1
    return e, y


def two_fresh_values(x, flag: bool):
    if flag:
        y = x * 2
    else:
        y = x + 0
    y += 1
    return y, x


def another_name_in_a_loop(x, n: int):
    y = x * 2
    for _i in range(n):
        z = y
        z.add_(1)
    return y, x


def an_accumulator(x, n: int):
    total = torch.zeros(2, 3)
    for _i in range(n):
        total += x
    return total, x


def a_row_written(x, n: int):
    y = x.clone()
    for _i in range(n):
        y[0] += 1
    return y, x


def two_buffers(x, n: int):
    now = x * 2
    for i in range(n):
        new = now.clone()
        new[0] = new[0] + i
        now = new
    return now, x


def two_buffers_that_survive(x, n: int):
    before = x * 2
    now = x + 0
    for i in range(n):
        new = torch.zeros_like(now)
        new[0] = now[0] + before[1] + i
        before = now
        now = new
    return now, before


def two_buffers_in_two_loops(x, n: int):
    row = x + 0
    for i in range(n):
        new = row * 2
        for j in range(i):
            other = new + 1
            other[1] = j
            new = other
        new[0] += 1
        row = new
    return row, x


def written_a_round_later(x, n: int):
    first = x * 2
    second = first
    for _i in range(n):
        new = x + 0
        first.add_(1)
        second = first
        first = new
    return first, second


def reshaped_when_the_writing_is_over(x, n: int):
    y = x * 2
    y[0] = 5
    for i in range(n):
        y.add_(i)
    z = y.t().reshape(-1)
    return z + 1, y


def reshaped_before_the_writing(x, n: int):
    y = x * 2
    z = y.t().reshape(-1)
    for i in range(n):
        y.add_(i)
    return z + 1, y


def what_may_be_a_view_is_written(x, n: int):
    y = x * 2
    z = y.t().contiguous()
    z[0] += n
    w = (z + 1).reshape(-1)
    v = w[1:]
    w *= 3
    for i in range(n):
        w.add_(i)
    return z, w, v


def what_may_be_the_tensor_itself_is_written(x, n: int):
    y = x * 2
    z = y.reshape(-1)
    z *= 2
    return z, y + n


def what_may_be_a_view_is_written_in_a_loop(x, n: int):
    y = x * 2
    z = x.flatten()
    for _ in range(n):
        z.add_(y.sum())
        z = y.flatten()
    return z


def both_names_are_the_last(x, n: int):
    first = x * 2
    second = x * 3
    for _i in range(n):
        first.add_(second.sum())
        new = x + 0
        first = new
        second = new
    return first, second


def both_names_are_used(x, n: int):
    first = x * 2
    second = x * 3
    total = x + 0
    for _i in range(n):
        first.add_(1)
        total = total + second
        new = x + 0
        first = new
        second = new
    return total, second


def written_a_round_later_in_a_list(x, n: int):
    held = [x * 2]
    now = x + 0
    for i in range(n):
        now.add_(i)
        new = x * 5
        held.append(new)
        now = new
    return held[-1], held[0]


def written_before_it_is_listed(x, n: int):
    held = [x * 2]
    for i in range(n):
        new = torch.zeros(3)
        new[0] = x[0, 1] + i
        held.append(new.expand(2, 3))
    return held[-1], held[0]


def written_before_it_is_listed_in_a_loop_in_a_loop(x, n: int):
    held = [x * 2]
    for i in range(n):
        new = torch.zeros(2, 3)
        for j in range(i):
            new[0, j] = x[0, 1] + i
        held.append(new)
    return held[-1], held[0]


def listed_and_written_in_a_loop_in_a_loop(x, n: int):
    held = [x * 2]
    for i in range(n):
        new = torch.zeros(2, 3)
        for j in range(i):
            new[0, j] = x[0, 1] + i
            held.append(new)
    return held[-1], held[0]


def one_tensor_listed_in_every_round(x, n: int):
    held = [x * 2]
    new = torch.zeros(2, 3)
    for i in range(n):
        new[0, 0] = x[0, 1] + i
        held.append(new)
    return held[-1], held[0]


def written_in_a_loop_with_two_ways_out(x, n: int):
    total, left = torch.zeros(2, 3), torch.ones(2, 3)
    seen = []
    while True:
        seen.append(x)
        left = left * 0.5
        total += left
        if left.sum() < 0.1:
            break
        if len(seen) > n:
            break
    return total, left


def pieces_of_an_unknown_size(x, n: int):
    y = (x * 2).t()[:2]
    first, second = y.chunk(2, 0)
    for _i in range(n):
        first.add_(second)
    return y, first, second


def columns_and_the_diagonal(x, n: int):
    y = (x * 2)[:, :2]
    left, right = y.unbind(1)
    corner = y.diagonal()
    corner.mul_(n)
    left += right
    return y, left, right, corner


def held_by_a_list_of_one_block(x, n: int):
    y = x * 2
    held = [y]
    held.append(x + 0)
    y.add_(10)
    held[1].mul_(n)
    return held[0], held[1], y


def chosen_twice(x, flag: bool):
    y = x * 2
    z = x * 3
    if flag:
        e = y
    else:
        e = z
    first = e[0]
    if not flag:
        f = e
    else:
        f = x + 1
    f.add_(10)
    y.mul_(2)
    first.sub_(1)
    return e, f, first, y, z


def chosen_in_a_loop(x, n: int):
    y = x * 2
    for i in range(n):
        if i % 2 == 1:
            e = y
        else:
            e = y * 0
        e += i
    return y, x


def converted_before_the_writing(x, n: int):
    y = x * 2
    held = {"whole": y.to(torch.int64), "bits": y.to(torch.bool)}
    y.add_(n)
    return held["whole"], held["bits"], y


REFUSED: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (a_view_out_of_a_branch, ESCAPES),
    (held_by_a_tuple, ESCAPES),
    (held_by_a_list, ESCAPES),
    (taken_by_a_loop, TRIPS),
    (swapped_by_a_loop, TRIPS),
    (both_names_are_used, TRIPS),
    (written_a_round_later_in_a_list, TRIPS),
    (listed_and_written_in_a_loop_in_a_loop, TRIPS),
    (one_tensor_listed_in_every_round, TRIPS),
    (reshaped_before_the_writing, TRIPS),
    (what_may_be_the_tensor_itself_is_written, TRIPS),
    (what_may_be_a_view_is_written_in_a_loop, TRIPS),
    (exchanged_with_a_view_before, TRIPS),
    (exchanged_with_a_view_behind, TRIPS),
    (exchanged_and_listed, TRIPS),
    (exchanged_again_in_a_loop, TRIPS),
    (one_tensor_exchanged, TRIPS),
    (lost_by_an_exchange, TRIPS),
    (another_of_a_dict, TRIPS),
    (added_to_a_list_in_a_loop, TRIPS),
    (one_tensor_twice_in_a_list, TRIPS),
    (one_tensor_in_two_lists, TRIPS),
    (named_after_it_was_listed, TRIPS),
    (taken_out_before, TRIPS),
    (replaced_after_it_was_taken, TRIPS),
]
EXPORTED = [
    (rows_of_a_table, TRIPS),
    (two_buffers_by_number, TRIPS),
    (a_cache_of_every_layer, TRIPS),
    (the_last_of_a_list, TRIPS),
    (elements_in_branches_and_loops, TRIPS),
    (rows_of_an_edit_distance, TRIPS),
    (exchanged_in_two_loops, TRIPS),
    (exchanged_on_some_paths, (*TRIPS, 4)),
    (exchanged_while, TRIPS),
    (put_anywhere_into_a_list, TRIPS),
    (held_by_tuples_in_a_list, TRIPS),
    (kept_in_a_dict, TRIPS),
    (two_fresh_values, ESCAPES),
    (another_name_in_a_loop, TRIPS),
    (an_accumulator, TRIPS),
    (a_row_written, TRIPS),
    (two_buffers, TRIPS),
    (two_buffers_that_survive, TRIPS),
    (two_buffers_in_two_loops, TRIPS),
    (both_names_are_the_last, TRIPS),
    (written_a_round_later, TRIPS),
    (reshaped_when_the_writing_is_over, TRIPS),
    (written_before_it_is_listed, TRIPS),
    (written_before_it_is_listed_in_a_loop_in_a_loop, TRIPS),
    (written_in_a_loop_with_two_ways_out, TRIPS),
    (taken_by_a_branch, ESCAPES),
    (written_through_the_branch, ESCAPES),
    (two_names_out_of_a_branch, ESCAPES),
    (written_in_a_branch_too, ESCAPES),
    (carried_by_a_loop, TRIPS),
    (pieces_of_an_unknown_size, TRIPS),
    (columns_and_the_diagonal, TRIPS),
    (held_by_a_list_of_one_block, TRIPS),
    (chosen_twice, ESCAPES),
    (chosen_in_a_loop, TRIPS),
    (converted_before_the_writing, TRIPS),
    (what_may_be_a_view_is_written, TRIPS),
]


def arrays(results: tuple[Tensor, ...]) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(r) for r in results]


def example() -> Tensor:
    return torch.arange(6).reshape(2, 3).to(torch.float32)


@pytest.mark.filterwarnings("ignore::bridge.runtime.executor.InterpreterWarning")
@pytest.mark.parametrize(("program", "values"), REFUSED + EXPORTED)
def test_scripted_programs_compute_what_python_does(program: Callable[..., Any], values: tuple[Any, ...]) -> None:
    scripted = torch.jit.script(program)
    for value in values:
        for a, b in zip(arrays(program(example(), value)), arrays(scripted(example(), value)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("program", "values"), REFUSED)
def test_writes_that_depend_on_the_path_are_refused(program: Callable[..., Any], values: tuple[Any, ...]) -> None:
    with pytest.raises(ExportError, match=r"is written to in place, and '\w+', which is used later") as caught:
        bridge.onnx.export(torch.jit.script(program), (example(), values[0]))
    assert f"{program.__code__.co_filename}:" in str(caught.value)


@pytest.mark.parametrize(("program", "values"), EXPORTED)
def test_other_writes_export(program: Callable[..., Any], values: tuple[Any, ...]) -> None:
    model = bridge.onnx.export(torch.jit.script(program), (example(), values[0])).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    for value in values:
        got = session.run(None, dict(zip(names, (np.asarray(example()), np.array(value)), strict=True)))
        for a, b in zip(arrays(program(example(), value)), got, strict=True):
            np.testing.assert_array_equal(a, b)


#: Statements on the frame ``f`` of a loop and what the module keeps of it from round to round; whether they export.
KEPT = [
    (("f[:2] += self.tail", "self.tail = f[1:]"), True),
    (("f[:2] += self.tail", "self.tail = f[1:]", "f += 1"), False),
    (("t = f[1:]", "f += self.tail.sum()", "self.tail = t"), True),
    (("t = self.tail", "t += 1", "self.tail = f[1:]"), False),
    (("if i % 2 == 0:", "    self.tail = f[1:]", "f *= 3"), False),
]


@pytest.mark.parametrize(("statements", "exports"), KEPT, ids=lambda v: "; ".join(v) if isinstance(v, tuple) else "")
def test_what_a_module_keeps_from_round_to_round(statements: tuple[str, ...], exports: bool, tmp_path: Path) -> None:
    body = "".join(f"            {line}\n" for line in statements)
    path = tmp_path / f"keeps_{abs(hash(statements))}.py"
    path.write_text(
        "import bridge as torch\n\n\nclass Keeps(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.tail = torch.zeros(2)\n\n    def forward(self, x):\n        out = torch.zeros(0)\n"
        f"        for i in range(x.size(0)):\n            f = x[i] * 2\n{body}            out = torch.cat([out, f])\n"
        "        return out + self.tail.sum()\n"
    )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not exports:
        with pytest.raises(ExportError, match="is written to in place"):
            bridge.onnx.export(torch.jit.script(module.Keeps()), (example(),))
        return
    model = bridge.onnx.export(torch.jit.script(module.Keeps()), (example(),)).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in (2, 1, 4, 0):
        x = np.arange(3.0 * rows, dtype=np.float32).reshape(rows, 3)
        python = module.Keeps()
        want = python(torch.tensor(x.copy()))
        for a, b in zip(arrays((want, python.tail)), session.run(None, {"x": x}), strict=True):
            np.testing.assert_array_equal(a, b)


#: In-place writes that read the same memory: what is written, how many rows torch takes, and how many it does not.
OVERLAPS = [
    ("y[1:] += y[:-1]", 2, 3),
    ("y[1:] = y[:-1]", 1, 4),
    ("y[1:].copy_(y[:-1])", 2, 3),
    ("y[:2] = y[-2:]", 4, 3),
    ("y /= y[-1:]", 1, 2),
    ("y[1:] -= y[0]", 3, None),
]


@pytest.mark.parametrize("row", OVERLAPS, ids=lambda r: r[0])
def test_writes_to_rows_that_are_read(row):
    write, good, bad = row
    source = f"def f(x: Tensor):\n    y = x.clone()\n    {write}\n    return y\n"
    space = {"torch": bridge, "Tensor": bridge.Tensor, "__name__": "overlaps"}
    file = f"<overlap {write}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec"), space)
    model = bridge.onnx.export(space["f"], (bridge.arange(8.0).reshape(4, 2) + 1,)).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString())

    def run(n):
        x = bridge.arange(2.0 * n).reshape(n, 2) + 1
        return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0], space["f"](x).numpy()

    found, wanted = run(good)
    assert found.tolist() == wanted.tolist()
    if bad is not None:
        with pytest.raises(RuntimeError, match="unsupported operation"):
            space["f"](bridge.ones(bad, 2))
        with pytest.raises(Exception, match="Reshape"):
            session.run(None, {session.get_inputs()[0].name: bridge.ones(bad, 2).numpy()})


#: In-place writes to columns that are read: what is written, a shape that torch takes, and one that it does not (or where what
#: it computes hangs on the processor).
COLUMNS = [
    ("y[:, 1:] = y[:, :-1]", (3, 4), (1, 4)),
    ("y[:, 1:] = y[:, :-1]", (3, 15), (3, 40)),
    ("y[:, 2:].copy_(y[:, :-2])", (2, 9), (2, 50)),
    ("y[:, 1:] = y[:, :-1]", (2, 9, 32), (2, 9, 31)),
    ("y[:, :-1] = y[:, 1:]", (3, 50), (1, 4)),
    ("y[:, :-1] += y[:, 1:]", (3, 50), None),
    ("y[:, 1:] -= y[:, :1]", (3, 40), None),
    ("y -= y[:, :1]", (3, 1), (3, 20)),
    ("y[:, ::2] = y[:, 1::2]", (3, 40), None),
    ("y[:, :n // 2] = y[:, n // 2:]", (3, 40), None),
    ("y[:, :] = y[:, :1]", (3, 40), None),
    ("y[0, 1:] = y[0, :-1]", (3, 2), (3, 4)),
    ("torch.add(y[:-1], 1, out=y[1:])", (2, 3), (3, 3)),
]


#: The same, of what the model alone refuses.
MODEL_REFUSES = [
    ("y[:, 1:] += y[:, :-1]", (3, 2), (3, 3)),
    ("y[1:, 1:] = y[:-1, :-1]", (1, 4), (9, 40)),
]


@pytest.mark.parametrize("row", [*COLUMNS, *MODEL_REFUSES], ids=lambda r: f"{r[0]} of {r[1]}")
def test_writes_to_columns_that_are_read(row):
    write, good, bad = row
    source = f"def f(x: Tensor):\n    y = x.clone()\n    n = x.shape[1]\n    {write}\n    return y\n"
    space = {"torch": bridge, "Tensor": bridge.Tensor, "__name__": "columns"}
    file = f"<columns {write}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec"), space)

    def made(shape):
        return (bridge.arange(1.0 + math.prod(shape))[1:] % 7 + 1).reshape(shape).clone()

    model = bridge.onnx.export(space["f"], (made((4, 6, 5)[: len(good)]),)).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString())
    run = functools.partial(session.run, None)
    assert run({"x": made(good).numpy()})[0].tolist() == space["f"](made(good)).tolist()
    if bad is not None and row not in MODEL_REFUSES:
        with pytest.raises(RuntimeError, match="unsupported operation"):
            space["f"](made(bad))
    if bad is not None:
        with pytest.raises(Exception, match="Reshape"):
            run({"x": made(bad).numpy()})


def test_a_mask_of_one_number():
    x = bridge.tensor(3.0)
    assert x[x > 0].tolist() == [3.0]
    assert x[x < 0].shape == (0,)
    with pytest.raises(bridge.onnx.ExportError, match="mask of no dimensions"):
        bridge.onnx.export(_mask, (x,))


def _mask(x: bridge.Tensor):
    return x[x > 0]


def _shifted(x: bridge.Tensor):
    y = x.clone()
    z = y
    z <<= 2
    y >>= 1
    return y, z


def test_shifts_in_place():
    x = bridge.arange(4)
    scripted = bridge.jit.script(_shifted)
    assert "z = torch.__ilshift__(y, 2)\n  y0 = torch.__irshift__(y, 1)" in scripted.code
    model = bridge.onnx.export(scripted, (x,)).model_proto
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x.numpy()})
    for results in (_shifted(x), scripted(x), found):
        assert [r.tolist() for r in results] == [[0, 2, 4, 6]] * 2
