"""Runs a function's graph on abstract values, appending the ONNX nodes that compute it.

One :class:`Machine` lowers one ONNX graph: the main graph or a model-local function, with everything nested in it. What is
known now is folded; a branch whose condition is known is the only one lowered. Each statement is handled by a handler for
its kind (``prims``, ``lists``, ``control``, ``calls``) or by the ONNX lowering that its operator declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.exporters.onnx.emitter import OnnxEmitter
from bridge.exporters.onnx.records import Body, Frame, Origin
from bridge.exporters.onnx.report import Entry
from bridge.exporters.onnx.values import INT64, Abstract, Cell, Growing, Maybe, Poison, Run, is_run
from bridge.ir import types as T
from bridge.ir.errors import BridgeError, LoweringError
from bridge.ir.graph import Block, Node, Value
from bridge.ir.source import SourceRange

if TYPE_CHECKING:
    from bridge.exporters.onnx.program import ProgramLowering

__all__ = ["HANDLERS", "Machine", "Skip", "handles"]

Handler = Callable[["Machine", Node], "Abstract"]

#: What to do for a kind of node; the modules named above fill it. A handler returns the node's result (a list for several).
HANDLERS: dict[str, Handler] = {}

_EMPTY_SHAPE = np.array([], np.int64)
_NUMBERS = (T.INT, T.FLOAT, T.BOOL, T.NUMBER, T.STR)


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Decorates the handler of some node kinds."""

    def add(f: Handler) -> Handler:
        for k in kinds:
            assert k not in HANDLERS, k
            HANDLERS[k] = f
        return f

    return add


class Skip(Exception):
    """The statement uses the result of one that could not be lowered."""


def _other_handler(node: Node) -> Handler:
    if node.kind.startswith(("aten::", "prim::")):
        from bridge.exporters.onnx.operators import lower_operator

        return lower_operator
    from bridge.exporters.onnx.onnx_ops import lower_onnx_op

    return lower_onnx_op


def _place_near(node: Node) -> SourceRange | None:
    """A place for a statement that the compiler made up (an exit that depends on data): the first in its blocks, or of what it
    reads, else the first of its function."""
    for block in node.blocks:
        for n in block.nodes:
            found = n.range or _place_near(n)
            if found is not None:
                return found
    read = (v.node.range for v in node.inputs if v.node.range is not None)
    return next(read, None) or next((n.range for n in node.graph.all_nodes() if n.range is not None), None)


class Machine:
    """The state of lowering one ONNX graph.

    ``env`` has the abstract value of each IR value of the present frame, ``heap`` the content of lists and dicts, and of
    tensors that were written to. ``parameters`` are the module's tensors read so far, by path from ``root``.
    """

    def __init__(self, program: ProgramLowering, frame: Frame, body: Body) -> None:
        self.program, self.frame = program, frame
        self.emitter = OnnxEmitter(program.opset, program.report)
        self.emitter.body = body
        self.env: dict[Value, Abstract] = frame.env
        self.heap: dict[Any, Any] = {}
        #: Lists that must not be changed any more, because something else would have to change with them; and why.
        self.frozen: dict[Cell, str] = {}
        self.kin: dict[Cell, dict[Cell, int]] = {}  # lists that share elements, from which position of the other on
        self.homed: dict[Cell, None] = {}  # lists that were taken out of others (``Cell.home``)
        self.parameters: dict[str, Run] = {}
        #: What was raised: nothing at first, written to by every raise.
        #: Whether a loop is written out here, of which every condition that can be known should be.
        self.step_by_step = False
        self.error = Run(INT64, (None,), "error")
        self.error.constant = np.array([], np.int64)

    # -- values ----------------------------------------------------------------------------------------------------

    def get(self, value: Value) -> Abstract:
        """The abstract value. Raises Skip when it could not be computed."""
        v = self.env[value]
        if type(v) is Poison:
            raise Skip
        return self.current(v)

    def inputs(self, node: Node) -> list[Abstract]:
        """The abstract values of a node's inputs."""
        return [self.get(v) for v in node.inputs]

    def current(self, v: Abstract) -> Abstract:
        """A tensor as it is now: after what was written to it or to what it is a view of."""
        if type(v) is Run and (v in self.heap or v.view is not None):
            from bridge.exporters.onnx.mutation import present

            return present(self, v)
        return v

    def existed(self, v: Run, start: int) -> bool:
        """Whether a tensor was there when so many values had been made; those of the module are, whenever they are first read."""
        return v.born < start or v.fixed or self.parameters.get(v.hint) is v

    def latest(self, v: Abstract) -> Abstract:
        """Every tensor in it as it is now."""
        if isinstance(v, tuple):
            return tuple(self.latest(x) for x in v)
        if isinstance(v, Maybe):
            return Maybe(v.present, self.latest(v.value))
        return self.current(v)

    def content(self, cell: Cell) -> Any:
        """What a list or dict holds. Raises LoweringError for one that was made where the heap cannot follow."""
        try:
            return self.heap[cell]
        except KeyError:
            raise LoweringError("this list is not followed here") from None

    def read(self, cell: Cell) -> Any:
        """What a list or dict holds, for a statement that reads it.

        Raises Skip for a list that a loop was assumed to append to only: the loop is lowered again without that.
        """
        content = self.content(cell)
        if isinstance(content, Growing):
            content.token.read = True
            raise Skip
        if cell.home is not None and not cell.home.holds(self.heap):
            raise LoweringError("this list is an element of another one that was changed meanwhile; take it out again")
        return content

    def change(self, cell: Cell, content: Any) -> None:
        """Give a list or dict another content. Raises LoweringError where something else would have to change with it."""
        if cell in self.frozen:
            raise LoweringError(f"this list is changed after {self.frozen[cell]}; change a copy of it instead")
        self.heap[cell] = cell.sample = content
        if cell.home is not None:
            home = cell.home
            self.read(cell)
            home.write(content)
            home.seen = {c: self.heap[c] for c in home.seen}

    def new_cell(self, type: T.Type, content: Any) -> Cell:
        """A new list or dict with that content."""
        cell = Cell(type, content)
        self.heap[cell] = content
        return cell

    def bind(self, value: Value, v: Abstract, name: str | None = None) -> None:
        """Give an IR value its abstract value. ONNX values that are new take the IR value's name."""
        if isinstance(v, Run):
            if v.number is None and (value.type in _NUMBERS or isinstance(value.type, T.EnumType)):
                v = self._number(v, value)
            elif isinstance(value.type, T.TensorType) and v.number is not None:
                v = v.seen_as(None)
            root = v.root
            if not root.named and root.constant is None:
                root.hint, root.named = name or self.hint(value), True
        elif isinstance(v, tuple):
            self._name_parts(v, name or self.hint(value))
        self.env[value] = v

    def _number(self, v: Run, value: Value) -> Run:
        if v.dims == ():
            return v.seen_as(value.type if value.type is not T.NUMBER else None)
        shaped: Run = self.emitter.op("Reshape", v, _EMPTY_SHAPE, dims=())
        return shaped.seen_as(value.type)

    def _name_parts(self, v: tuple[Abstract, ...], name: str) -> None:
        for i, x in enumerate(v):
            if isinstance(x, tuple):
                self._name_parts(x, f"{name}.{i}")
            elif is_run(x) and not x.root.named and x.constant is None:
                x.root.hint, x.root.named = f"{name}.{i}", True

    def hint(self, value: Value) -> str:
        """What the ONNX value of an IR value is called."""
        name = value.export_name or value.debug_name
        return f"{self.frame.path}/{name}" if self.frame.parent is not None and self.frame.path else name

    # -- statements --------------------------------------------------------------------------------------------------

    def run_block(self, block: Block) -> None:
        """Lower the statements of a block in order."""
        for node in block.nodes:
            self.statement(node)

    def statement(self, node: Node) -> None:
        """Lower one statement; what cannot be lowered is put on the program's list of obstacles."""
        e = self.emitter
        e.begin(Origin(self.frame, node), self.hint(node.outputs[0]) if node.outputs else node.kind.rpartition(":")[2])
        try:
            handler = HANDLERS.get(node.kind)
            if handler is None:
                handler = _other_handler(node)
            results = handler(self, node)
            outputs = node.outputs
            if len(outputs) == 1:
                self.bind(outputs[0], results)
            else:
                for o, r in zip(outputs, results or (), strict=True):
                    self.bind(o, r)
        except Skip:
            self._look_inside(node)
            self._poison(node)
        except (BridgeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            self._obstacle(node, error)
            self._poison(node)

    def _look_inside(self, node: Node) -> None:
        """Find the obstacles in the blocks of a statement that cannot be lowered itself, and what they append to lists."""
        heap = self.heap
        for block in node.blocks:
            self.heap = dict(heap)
            for v in block.inputs:
                self.env[v] = Poison()
            with self.into(Body()):
                self.run_block(block)
        self.heap = heap

    def _poison(self, node: Node) -> None:
        for o in node.outputs:
            self.env[o] = Poison()

    def _obstacle(self, node: Node, error: Exception) -> None:
        if not isinstance(error, BridgeError) and self.program.debug:
            raise error
        message = error.message if isinstance(error, BridgeError) else f"{error}"
        place = getattr(error, "range", None) or node.range or _place_near(node)
        self.program.obstacle(Entry(node.kind, message, place))

    # -- nested graphs -------------------------------------------------------------------------------------------------

    @contextmanager
    def into(self, body: Body) -> Iterator[Body]:
        """For a ``with`` block, append to another body; the statement stays the same."""
        e = self.emitter
        old = e.body, e.origin, e.hint
        e.body = body
        try:
            yield body
        finally:
            e.body, e.origin, e.hint = old
            e._constants = {}

    @contextmanager
    def frame_of(self, frame: Frame) -> Iterator[None]:
        """For a ``with`` block, lower another function's graph into the same body."""
        e = self.emitter
        old, env, statement = self.frame, self.env, (e.origin, e.hint)
        self.frame, self.env = frame, frame.env
        try:
            yield
        finally:
            self.frame, self.env = old, env
            e.begin(*statement)
