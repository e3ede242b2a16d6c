"""Arguments, results and ways to call what was traced: programs that ``support.traces`` runs. See there."""

from support.trace_modules import GATE, HEAD, NET

# fmt: off
CALLS = {
    name: HEAD + source
    for name, source in {
        "tuple inputs": """
def f(pair, z):
    a, (b, c) = pair
    return a * b + c * z
subject = torch.jit.trace(f, ((x, (h, x + 1)), h + 1))
""",
        "list input": """
def f(items):
    return items[0] + items[1]
subject = torch.jit.trace(f, ([x, h],))
""",
        "dict input": """
def f(d):
    return d["a"] * 2 + d["b"]
subject = torch.jit.trace(f, ({"a": x, "b": h},))
""",
        "dict input of a module": """
class M(nn.Module):
    def forward(self, d):
        return d["a"] * 2 + d["b"]
subject = torch.jit.trace(M(), ({"a": x, "b": h},))
""",
        "same tensor twice": """
subject = torch.jit.trace(lambda a, b: a + b, (x, x))
""",
        "no argument names": """
def f(*args):
    return args[0] + args[1]
subject = torch.jit.trace(f, (x, h))
""",
        "default arguments": """
def f(a, b=2, c=None):
    return a * b
subject = torch.jit.trace(f, (x,))
""",
        "keyword examples": """
def f(a, b):
    return a - b
subject = torch.jit.trace(f, example_kwarg_inputs={"b": x, "a": h})
""",
        "keyword examples of a module": """
class M(nn.Module):
    def forward(self, a, b=None, c=None):
        return a - c
subject = torch.jit.trace(M(), example_kwarg_inputs={"a": x, "c": h})
""",
        "wrong keyword example": """
class M(nn.Module):
    def forward(self, a, b):
        return a - b
subject = torch.jit.trace(M(), example_kwarg_inputs={"a": x, "z": h})
""",
        "one tensor": """
subject = torch.jit.trace(lambda q: q * 2, x)
""",
        "number as input": """
subject = torch.jit.trace(lambda a, b: a * b, (x, 3))
""",
        "none as input": """
subject = torch.jit.trace(lambda a, b: a, (x, None))
""",
        "object as input": """
subject = torch.jit.trace(lambda a, b: a, (x, object))
""",
        "dict result": """
subject = torch.jit.trace(lambda a: {"r": a * 2, "s": a}, (x,), strict=False)
""",
        "filled out of place": """
subject = torch.jit.trace(lambda a: (torch.empty(a.shape).fill_(7), (a + 1).zero_()), (x,), _force_outplace=True)
""",
        "dict of tuples": """
subject = torch.jit.trace(lambda a: {"r": (a * 2, a)}, (x,), strict=False)
""",
        "list result": """
subject = torch.jit.trace(lambda a: [a * 2, a + 1], (x,), strict=False)
""",
        "named tuple result": """
import typing
class Out(typing.NamedTuple):
    a: torch.Tensor
    b: torch.Tensor
subject = torch.jit.trace(lambda q: Out(q * 2, q), (x,))
""",
        "a method by name": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x):
        return self.linear(x)
    def helper(self, x):
        return self.linear(x) * 2
subject = torch.jit.trace_module(M(), {"forward": x, "helper": x})
""",
        "bound forward": """
class M(nn.Module):
    def forward(self, x):
        return x * 2
subject = torch.jit.trace(M().forward, x)
""",
        "bound other method": """
class M(nn.Module):
    def helper(self, x):
        return x * 2
subject = torch.jit.trace(M().helper, x)
""",
        "not a module": """
subject = torch.jit.trace_module(3, {"forward": x})
""",
        "recurrent cells": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.LSTMCell(4, 3), nn.GRUCell(4, 3)
        self.c, self.d = nn.RNNCell(4, 3), nn.RNNCell(4, 3, nonlinearity="relu", bias=False)
    def forward(self, x):
        h, c = self.a(x)
        return c, self.d(x, self.c(x, self.b(x, h)))
subject = torch.jit.trace(M(), x)
""",
        "convolutions without a batch": """
subject = torch.jit.trace(nn.Sequential(nn.Conv1d(3, 2, 2), nn.ConvTranspose1d(2, 3, 2)), x)
""",
        "nested trace": """
def f(x):
    return torch.jit.trace(lambda q: q * 2, (x,))(x)
subject = torch.jit.trace(f, (x,))
""",
        "is_tracing": """
def f(x):
    return x * 2 if torch.jit.is_tracing() else x
subject = torch.jit.trace(f, (x,), check_trace=False)
assert not torch.jit.is_tracing()
""",
        "script_if_tracing": """
@torch.jit.script_if_tracing
def loop(x, n: int):
    for i in range(n):
        x = x * 2
    return x
subject = torch.jit.trace(lambda q: loop(q, 3), (x,))
""",
        "no grad": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x):
        with torch.no_grad():
            y = self.linear(x)
        return y + self.linear(x)
subject = torch.jit.trace(M(), x)
""",
        "frozen model": """
m = nn.Linear(4, 4)
for p in m.parameters():
    p.requires_grad_(False)
subject = torch.jit.trace(m, x)
""",
        "functions of a library": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()
        self.tanh = nn.Tanh()
    def forward(self, x):
        y = self.act(x)
        return self.tanh(F.relu(y)) + self.act(y)
subject = torch.jit.trace(M(), x)
""",
        "dropout in evaluation": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(4, 2)
    def forward(self, x):
        return self.linear(self.drop(x))
subject = torch.jit.trace(M().eval(), x)
""",
        "check finds another graph": """
count = [0]
def f(x):
    count[0] += 1
    return x + 1 if count[0] == 1 else x * 2
subject = torch.jit.trace(f, (x,))
""",
        "check finds another constant": """
count = [0.0]
def f(x):
    count[0] += 1
    return x * torch.full((3, 4), 1.0).mul_(0).add_(0) + torch.tensor([count[0]])
subject = torch.jit.trace(f, (x,))
""",
        "check fails to run": """
count = [0]
def f(x):
    count[0] += 1
    if count[0] > 2:
        raise ValueError("tired")
    return x + 1
subject = torch.jit.trace(f, (x,))
""",
        "check inputs": """
subject = torch.jit.trace(lambda q: q * 2, (x,), check_inputs=[(h,), (torch.rand(2, 2),)])
""",
        "wrong for other inputs": """
def f(x):
    return x if x.sum() > 0 else -x
subject = torch.jit.trace(f, (x,), check_inputs=[(-x,)])
""",
        "call of a foreign scripted module": GATE + """
gate = torch.jit.script(Gate())
class M(nn.Module):
    def forward(self, x):
        return gate(x)
subject = torch.jit.trace(M(), x)
""",
        "eager module holds a scripted one": GATE + """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = torch.jit.script(Gate())
    def forward(self, x):
        return self.gate(x) + 1
m = M()
m(x)
subject = torch.jit.trace(m, x)
""",
        "scripted holds a traced one": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.jit.trace(nn.Linear(4, 4), x)
    def forward(self, x):
        if bool(x.sum() > 0):
            return self.inner(x)
        return x
subject = torch.jit.script(M())
""",
        "traced module called in two ways": """
inner = torch.jit.trace(nn.Linear(4, 4), x)
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = inner
    def forward(self, x):
        return self.inner(self.inner(x))
subject = torch.jit.trace(M(), x)
""",
        "names from a module": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, input):
        hidden = self.linear(input)
        other = hidden
        hidden = torch.relu(hidden)
        out = hidden + other
        return out
subject = torch.jit.trace(M(), x)
""",
        "hooks": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x):
        return self.linear(x)
m = M()
m.linear.register_forward_hook(lambda module, args, out: out * 2)
subject = torch.jit.trace(m, x)
""",
        "convolutions": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(2, 3, 3, padding=1)
        self.b = nn.Conv2d(3, 3, 3, stride=2, bias=False)
        self.c = nn.Conv1d(3, 6, 2, groups=3)
    def forward(self, x):
        return self.c(self.b(self.a(x)).flatten(2))
subject = torch.jit.trace(M(), torch.rand(1, 2, 7, 7), check_trace=False)
""",
        "other convolutions": """
def f(x, y):
    a = F.conv_transpose2d(x, y)
    b = torch.conv2d(x, y.transpose(0, 1), None, 1, [1, 1], 2)
    return a, b
subject = torch.jit.trace(f, (torch.rand(1, 2, 5, 5), torch.rand(2, 3, 3, 3)), check_trace=False)
""",
        "exported method": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x):
        return self.helper(x) + 1
    @torch.jit.export
    def helper(self, x):
        if bool(x.sum() > 0):
            return self.linear(x)
        return x
subject = torch.jit.trace(M(), x)
""",
        "ignored and unused functions": """
class M(nn.Module):
    def forward(self, x):
        return self.a(x) + self.b(x)
    @torch.jit.ignore
    def a(self, x):
        return x * 2
    @torch.jit.unused
    def b(self, x):
        return x * 3
subject = torch.jit.trace(M(), x)
""",
        "forward hooks of both kinds": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x):
        return self.linear(x)
m = M()
m.linear.register_forward_pre_hook(lambda module, args: (args[0] * 3,))
m.register_forward_hook(lambda module, args, out: out + args[0])
subject = torch.jit.trace(m, x)
""",
        "backward hooks": """
m = nn.Linear(4, 4)
m.register_full_backward_hook(lambda *a: None)
subject = torch.jit.trace(m, x)
""",
        "dropout in training": """
subject = torch.jit.trace(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), x)
""",
        "random numbers": """
subject = torch.jit.trace(lambda q: q + torch.rand(3, 4), x)
""",
        "other results for the same graph": """
state = [torch.zeros(3, 4)]
def f(q):
    state[0] = state[0] + 1
    return q + state[0].detach().clone()
subject = torch.jit.trace(f, x)
""",
        "one parameter twice": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.ones(4))
        self.b = self.a
    def forward(self, x):
        return x * self.a + self.b
subject = torch.jit.trace(M(), x)
""",
        "submodule returns its parameter": """
class I(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(4))
    def forward(self, x):
        return self.w * 1
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = I()
    def forward(self, x):
        return self.i(x) + x
subject = torch.jit.trace(M(), x)
""",
        "input returned by a submodule in a tuple": """
class I(nn.Module):
    def forward(self, x, y):
        return y, x
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = I()
    def forward(self, x, y):
        a, b = self.i(x, y)
        return a - b
subject = torch.jit.trace(M(), (x, h))
""",
        "a module that calls itself again": """
class I(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
        self.depth = 2
    def forward(self, x):
        if self.depth:
            self.depth -= 1
            x = self(x)
            self.depth += 1
        return self.l(x)
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = I()
    def forward(self, x):
        return self.i(x)
subject = torch.jit.trace(M(), x)
""",
        "a module outside of the tree": """
outside = nn.Linear(4, 4)
for p in outside.parameters():
    p.requires_grad_(False)
class M(nn.Module):
    def forward(self, x):
        return outside(x)
subject = torch.jit.trace(M(), x)
""",
        "a scripted method called by name": """
class I(nn.Module):
    def forward(self, x):
        return x
    @torch.jit.export
    def twice(self, x, k: float = 2.0):
        return x * k
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = torch.jit.script(I())
    def forward(self, x):
        return self.i.twice(x) + self.i.twice(x, k=3.0)
subject = torch.jit.trace(M(), x)
""",
        "scripted module with containers": """
from typing import Dict, List, Optional, Tuple
class I(nn.Module):
    def forward(self, xs: List[torch.Tensor], d: Dict[str, torch.Tensor], p: Tuple[torch.Tensor, int], o: Optional[torch.Tensor] = None):
        if o is None:
            return xs[0] + d["a"] + p[0] * p[1]
        return o
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = torch.jit.script(I())
    def forward(self, x, y):
        return self.i([x, y], {"a": x}, (y, 2)) + self.i([x], {"a": y}, (x, 1), y)
subject = torch.jit.trace(M(), (x, h))
""",
        "trace of a trace": """
t = torch.jit.trace(nn.Linear(4, 4), x)
subject = torch.jit.trace(t, x)
""",
        "submodules cannot be called": """
t = torch.jit.trace(nn.Sequential(nn.Linear(4, 4)), x)
getattr(t, "0")(x)
""",
        "arguments are checked": """
t = torch.jit.trace(nn.Linear(4, 4), x)
found = []
for args, kwargs in (((), {}), ((3,), {}), ((x, x), {}), ((), {"z": x}), ((x,), {"z": x}), (([x],), {})):
    try:
        t(*args, **kwargs)
    except RuntimeError as e:
        found.append(str(e))
subject = "\\n".join(found)
""",
        "behaviour of a traced module": NET + """
m = torch.jit.trace(Net().eval(), x)
subject = tried(
    lambda: type(m).__name__, lambda: type(m.l).__name__, lambda: m.original_name, lambda: m.l.original_name,
    lambda: [n for n, _ in m.named_parameters()], lambda: [n for n, _ in m.named_buffers()],
    lambda: list(m.state_dict()), lambda: m.training, lambda: m.train().training, lambda: m.l.training,
    lambda: m.eval().training, lambda: m.drop.training, lambda: m.factor, lambda: m.nope, lambda: m.l(x),
    lambda: type(copy.deepcopy(m)).__name__, lambda: repr(copy.deepcopy(m)), lambda: copy.deepcopy(m).code,
    lambda: pickle.dumps(m), lambda: m.w is m.w, lambda: m.l.weight.shape, lambda: m.zero_grad(),
    lambda: m(3), lambda: m(), lambda: m(x, 2), lambda: m(x=1), lambda: m(x, y=1), lambda: m(y=1),
    lambda: m.forward.schema, lambda: m.forward.name, lambda: type(m.forward).__name__, lambda: len(list(m.children())),
    lambda: [n for n, _ in m.named_modules()], lambda: m.code_with_constants[0], lambda: bool(m), lambda: m.double().l.weight.dtype,
    lambda: isinstance(m, torch.jit.ScriptModule), lambda: isinstance(m, nn.Module), lambda: m.buf.dtype,
    lambda: torch.equal(copy.deepcopy(m).w, m.w), lambda: m.load_state_dict(m.state_dict()), lambda: m.l.code,
)
""",
        "behaviour of a scripted module": NET + """
m = torch.jit.script(Net().eval())
def put(name, value):
    setattr(m, name, value)
    return getattr(m, name)
subject = tried(
    lambda: type(m).__name__, lambda: type(m.l).__name__, lambda: m.original_name, lambda: m.factor, lambda: m.items,
    lambda: [n for n, _ in m.named_parameters()], lambda: [n for n, _ in m.named_buffers()], lambda: list(m.state_dict()),
    lambda: put("factor", 7), lambda: m.code, lambda: put("foo", 8), lambda: put("l", nn.Linear(3, 3)),
    lambda: put("factor", "a"), lambda: put("items", ["a"]), lambda: m.register_buffer("zz", torch.ones(2)),
    lambda: m._parameters.__setitem__("zz", torch.ones(2)), lambda: delattr(m, "l"), lambda: len(m), lambda: bool(m),
    lambda: m[0], lambda: m.nope, lambda: m.forward.schema, lambda: m.train().training, lambda: m.l.training,
    lambda: repr(m), lambda: repr(copy.deepcopy(m)), lambda: pickle.dumps(m), lambda: m(3), lambda: m(x, x),
    lambda: torch.equal(put("w", nn.Parameter(torch.zeros(4))), torch.zeros(4)), lambda: m.q, lambda: put("q", None),
    lambda: [n for n, _ in m.named_modules()], lambda: m.float().w.dtype, lambda: torch.jit.script(m) is m,
    lambda: m.apply(lambda q: None) is m,
    lambda: [p.requires_grad for p in m.parameters()], lambda: m.extra_repr(),
    lambda: torch.jit.ScriptModule().graph,
)
""",
        "behaviour of functions": """
import copy, pickle
f = torch.jit.trace(lambda q, r: q + r, (x, h))
@torch.jit.script
def g(x, n: int = 2, f: float = 1.0):
    return x * n + f
subject = tried(
    lambda: f.name, lambda: f.qualified_name.rpartition(".")[2], lambda: f.schema, lambda: g.schema, lambda: f(1, 2), lambda: f(x),
    lambda: f(x, h, x), lambda: g(x, "a"), lambda: g(x, 1.5), lambda: g(x, z=1), lambda: g(x, x=x), lambda: g([x]),
    lambda: pickle.dumps(f), lambda: copy.deepcopy(f), lambda: f.code, lambda: type(f).__name__, lambda: g(x, 3).shape,
    lambda: g(x, f=2).shape, lambda: g(x, True).shape, lambda: g(x, torch.tensor(3)).shape, lambda: torch.jit.script(g) is g,
    lambda: g.name, lambda: str(f.inlined_graph) == str(f.graph),
)
""",
        "arguments of every type": """
from typing import Any, Dict, List, Optional, Tuple, Union
@torch.jit.script
def a_int(x: int): return x
@torch.jit.script
def a_float(x: float): return x
@torch.jit.script
def a_bool(x: bool): return x
@torch.jit.script
def a_str(x: str): return x
@torch.jit.script
def a_ints(x: List[int]): return x
@torch.jit.script
def a_floats(x: List[float]): return x
@torch.jit.script
def a_tensors(x: List[torch.Tensor]): return x
@torch.jit.script
def a_pair(x: Tuple[int, int]): return x
@torch.jit.script
def a_maybe(x: Optional[int]): return x
@torch.jit.script
def a_maybe_tensor(x: Optional[torch.Tensor]): return x
@torch.jit.script
def a_dict(x: Dict[str, int]): return x
@torch.jit.script
def a_tensor(x: torch.Tensor): return x
@torch.jit.script
def a_device(x: torch.device): return x
t = torch.ones(1)
values = [1, True, 1.5, "a", None, [1], (1, 2), [1.5], [], {"a": 1}, {1: 1}, [t], (t,), [1, "a"], (1,), (1, "a"), torch.tensor(3),
          torch.tensor(2.5), torch.float32, x.size()]
plain = [v for v in values[:-4] if v is not None]
fs = [a_int, a_float, a_bool, a_str, a_ints, a_floats, a_tensors, a_pair, a_maybe, a_maybe_tensor, a_dict, a_tensor]
subject = tried(*[lambda f=f, v=v: f(v) for f in fs for v in (plain if f in (a_pair, a_dict) else values)], lambda: str(a_device("cpu")), lambda: str(a_device(torch.device("cpu"))))
""",
        "two traces of one class": """
a = torch.jit.trace(nn.Linear(4, 4), x)
b = torch.jit.trace(nn.Linear(4, 4), x)
subject = f"{a._c._type() == b._c._type() if False else a.graph}\\n{b.graph}"
""",
    }.items()
}
