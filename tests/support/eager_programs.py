"""More cases of eager mode: the tape, modules, printing, random numbers (see eager_cases)."""

from __future__ import annotations

from support import operator_errors
from support.eager_cases import CONVERSIONS, CREATION, INDEXING, OPERATORS, SHAPES, table

TAPE = {
    "tape: broadcast": """
torch.manual_seed(3)
x = torch.rand(3, 4, requires_grad=True)
y = torch.rand(4, requires_grad=True)
z = (x * y).sum(0)
print(z, z.grad_fn.next_functions)
(z**2).mean().backward()
x.grad, y.grad
""",
    "tape: twice": "a = torch.rand(3, requires_grad=True)\nl = a.exp().sum()\nl.backward()\nl.backward()",
    "tape: twice without saved values": "a = torch.ones(3, requires_grad=True)\nl = (a + 1).sum()\nl.backward()\nl.backward()\na.grad",
    "tape: retained": "a = torch.ones(3, requires_grad=True)\nl = a.exp().sum()\nl.backward(retain_graph=True)\nl.backward()\na.grad",
    "tape: modified result": "a = torch.rand(3, requires_grad=True)\nb = a.exp()\nb.add_(1)\nb.sum().backward()",
    "tape: modified argument": "a = torch.rand(3)\nw = torch.rand(3, requires_grad=True)\ny = a * w\na.add_(1)\ny.sum().backward()",
    "tape: modified intermediate": "a = torch.rand(3, requires_grad=True)\nc = a * 2\nd = c * c\nc.add_(1)\nd.sum().backward()",
    "tape: modified but unused": "a = torch.ones(3, requires_grad=True)\nb = a * 2\nc = b + 1\nb.add_(1)\nc.sum().backward()\na.grad",
    "tape: leaf in place": "a = torch.rand(3, requires_grad=True)\na.add_(1)",
    "tape: view of leaf in place": "a = torch.rand(3, requires_grad=True)\na[0].add_(1)",
    "tape: nothing requires grad": "torch.rand(3).sum().backward()",
    "tape: not a scalar": "(torch.rand(3, requires_grad=True) * 2).backward()",
    "tape: gradient shape": "(torch.rand(3, requires_grad=True) * 2).backward(torch.ones(2))",
    "tape: gradient given": "a = torch.ones(3, requires_grad=True)\n(a * 2).backward(torch.tensor([1.0, 2, 3]))\na.grad",
    "tape: accumulates": "a = torch.ones(2, requires_grad=True)\nfor _ in range(3):\n    (a * 2).sum().backward()\na.grad",
    "tape: view written": """
torch.manual_seed(0)
a = torch.rand(3, 4, requires_grad=True)
b = a * 2
v = b[0]
v.mul_(3)
print(v, b)
b.sum().backward()
a.grad, b[:, 1]
""",
    "tape: base written": "a = torch.ones(2, 2, requires_grad=True)\nb = a * 3\nv = b[0]\nb.mul_(2)\nprint(v)\nv.sum().backward()\na.grad",
    "tape: write into zeros": "w = torch.ones(4, requires_grad=True)\nx = torch.zeros(3, 4)\nx[1] = w * 2\nprint(x)\nx.sum().backward()\nw.grad",
    "tape: row of zeros written later": """
w = torch.ones(2, requires_grad=True)
x = torch.zeros(2, 2)
row = x[0]
x.add_(w)
print(row.requires_grad)
(row * 3).sum().backward()
w.grad
""",
    "tape: chain of views": """
w = torch.arange(4.0).requires_grad_()
b = (w * 1).view(2, 2)
c = b.t()
c[0].mul_(torch.tensor([2.0, 3.0]))
(b * b).sum().backward()
w.grad
""",
    "tape: unbind in place": "a = torch.ones(2, 2, requires_grad=True) * 1\na.unbind()[0].add_(1)",
    "tape: no_grad view": "a = torch.ones(2, requires_grad=True)\nwith torch.no_grad():\n    v = torch.ones(3)[:1]\nv.add_(a[0])",
    "tape: second order": """
a = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
g, = torch.autograd.grad((a**3).sum(), a, create_graph=True)
print(g)
torch.autograd.grad(g.sum(), a)
""",
    "tape: unused input": "a = torch.ones(1, requires_grad=True)\nb = torch.ones(1, requires_grad=True)\ntorch.autograd.grad(a * 2, b)",
    "tape: allow unused": "a = torch.ones(1, requires_grad=True)\nb = torch.ones(1, requires_grad=True)\ntorch.autograd.grad(a * 2, [a, b], allow_unused=True)",
    "tape: hooks": """
a = torch.ones(3, requires_grad=True)
h = []
b = a * 2
b.register_hook(lambda g: h.append(g) or g * 10)
b.retain_grad()
a.register_hook(lambda g: h.append(g.sum()))
b.sum().backward()
h, a.grad, b.grad
""",
    "tape: hook removed": "a = torch.ones(1, requires_grad=True)\nh = a.register_hook(lambda g: g * 5)\nh.remove()\n(a * 2).sum().backward()\na.grad",
    "tape: switches": """
a = torch.ones(2, requires_grad=True)
with torch.no_grad():
    print((a * 2).requires_grad)
    with torch.enable_grad():
        print((a * 2).requires_grad)
@torch.no_grad()
def f(x):
    return x * 2
@torch.no_grad
def g(x):
    return x * 2
print(f(a).requires_grad, g(a).requires_grad, torch.is_grad_enabled())
with torch.set_grad_enabled(False):
    print(torch.is_grad_enabled())
with torch.inference_mode():
    print((a * 2).requires_grad)
torch.is_grad_enabled()
""",
    "tape: detach": "a = torch.ones(2, requires_grad=True)\nb = (a * 2).detach()\nb, b.requires_grad, a.detach().is_leaf, (a * 2).is_leaf, a.is_leaf",
    "tape: requires_grad of a result": "a = torch.ones(2, requires_grad=True) * 2\na.requires_grad = False",
    "tape: function": """
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return 2 * x * g
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = Square.apply(a)
print(y)
y.sum().backward()
a.grad
""",
    "tape: function with setup_context": """
class Exp(torch.autograd.Function):
    @staticmethod
    def forward(x, k):
        return (x * k).exp()
    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.k = inputs[1]
        ctx.save_for_backward(output)
    @staticmethod
    def backward(ctx, g):
        y, = ctx.saved_tensors
        return g * y * ctx.k, None
a = torch.tensor([0.0, 1.0], requires_grad=True)
Exp.apply(a, 2).sum().backward()
a.grad
""",
    "tape: wrong number of gradients": """
class Bad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x * y
    @staticmethod
    def backward(ctx, g):
        return g
a = torch.ones(1, requires_grad=True)
Bad.apply(a, a).backward()
""",
    "tape: in place names": "a = torch.ones(2, requires_grad=True)\nb = a * 2\nb.add_(1)\nprint(b)\nb.tanh_()\nprint(b)\nb.mul_(b.detach())\nb",
    "tape: mixed types": "a = torch.ones(2, requires_grad=True)\nb = torch.ones(2, dtype=torch.float64, requires_grad=True)\n(a * b).sum().backward()\na.grad, b.grad",
}

TAPE |= table(
    "grad_fn",
    """
    torch.ones(2, requires_grad=True) + 1, torch.ones(2, requires_grad=True) - 1, 1 - torch.ones(2, requires_grad=True)
    torch.ones(2, requires_grad=True) * 2, torch.ones(2, requires_grad=True) / 2, 2 / torch.ones(2, requires_grad=True)
    torch.ones(2, requires_grad=True) ** 2, 2 ** torch.ones(2, requires_grad=True), -torch.ones(2, requires_grad=True)
    torch.ones(2, requires_grad=True).sum(), torch.ones(2, requires_grad=True).sum(0), torch.ones(2, requires_grad=True).mean()
    torch.ones(2, requires_grad=True).max(), torch.ones(2, requires_grad=True).max(0).values, torch.ones(2, requires_grad=True).exp()
    torch.ones(2, 2, requires_grad=True).t(), torch.ones(4, requires_grad=True).view(2, 2), torch.ones(4, requires_grad=True).reshape(2, 2)
    torch.ones(2, requires_grad=True)[0], torch.ones(2, requires_grad=True)[:1], torch.ones(2, requires_grad=True)[[0, 1]], torch.ones(2, requires_grad=True)[None]
    torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2), torch.ones(2, requires_grad=True) @ torch.ones(2), torch.ones(2, 2) @ torch.ones(2, requires_grad=True)
    torch.cat([torch.ones(1, requires_grad=True)] * 2), torch.stack([torch.ones(1, requires_grad=True)] * 2)
    torch.ones(2, requires_grad=True).clone(), torch.ones(2, requires_grad=True).double(), torch.ones(1, requires_grad=True).expand(2)
    torch.ones(2, requires_grad=True).relu(), torch.ones(2, requires_grad=True).sigmoid(), torch.ones(2, requires_grad=True).softmax(0)
    torch.nn.functional.linear(torch.ones(1, 2), torch.ones(1, 2, requires_grad=True)), nn.functional.linear(torch.ones(3, 1, 2), torch.ones(1, 2, requires_grad=True), torch.ones(1))
    torch.ones(2, 2, requires_grad=True).unbind()[0], torch.ones(2, 2, requires_grad=True).split(1)[1], torch.ones(2, 2, requires_grad=True).chunk(2)[0]
    torch.ones(2, 2, requires_grad=True).transpose(0, 1), torch.ones(2, 2, requires_grad=True).permute(1, 0), torch.ones(1, 2, requires_grad=True).squeeze()
    """,
)

RANDOM = {
    "random: generator": "g = torch.manual_seed(191009)\nprint(g)\nprint(torch.rand(3, 4))\ntorch.initial_seed()",
    "random: all kinds": """
torch.manual_seed(0)
print(torch.rand(3), torch.rand(2, dtype=torch.float64), torch.randn(5), torch.randn(3), torch.randn(33), torch.randn(17, dtype=torch.float64))
print(torch.randint(10, (5,)), torch.randint(-5, 2**40, (3,)), torch.randperm(10), torch.rand(2, dtype=torch.float16))
print(torch.empty(4).uniform_(-1, 3), torch.empty(20).normal_(2, 3), torch.bernoulli(torch.full((8,), 0.3)))
print(torch.rand_like(torch.ones(2)), torch.randn_like(torch.ones(20)), torch.normal(torch.zeros(3), torch.ones(3)))
torch.rand(1)
""",
    "random: state": """
torch.manual_seed(5)
torch.rand(3), torch.randn(1)
s = torch.get_rng_state()
print(s.dtype, s.shape, s[:24], s[-60:])
a = torch.randn(3)
torch.set_rng_state(s)
torch.equal(a, torch.randn(3))
""",
    "random: own generator": "g = torch.Generator()\ng.manual_seed(3)\nprint(torch.rand(2, generator=g), torch.randperm(5, generator=g))\ng.initial_seed()",
    "random: bad state": "torch.set_rng_state(torch.zeros(3, dtype=torch.uint8))",
    "random: dropout": "torch.manual_seed(0)\nnn.functional.dropout(torch.ones(10), 0.4), nn.functional.dropout(torch.ones(3), 0.4, training=False)",
    "random: initialisation": """
torch.manual_seed(1)
print(nn.Linear(20, 3).weight, nn.Linear(3, 2).bias, nn.Embedding(3, 4, padding_idx=1).weight, nn.Bilinear(2, 2, 1).weight)
i = nn.init
print(i.xavier_normal_(torch.empty(5, 7)), i.xavier_uniform_(torch.empty(2, 3)), i.kaiming_normal_(torch.empty(5, 7), nonlinearity="relu"))
print(i.trunc_normal_(torch.empty(5, 7)), i.trunc_normal_(torch.empty(5, 7), 0, 1, 2, 4), i.sparse_(torch.empty(4, 5), 0.3))
i.eye_(torch.empty(2, 3)), i.dirac_(torch.empty(2, 3, 3)), i.ones_(torch.empty(2)), i.constant_(torch.empty(2), 3.5), i.calculate_gain("leaky_relu", 0.2)
""",
}

_MODEL = """
from collections import OrderedDict
torch.manual_seed(0)
class Sub(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 3)
        self.register_buffer("b", torch.ones(2))
        self.register_buffer("c", torch.zeros(1), persistent=False)
        self.p = nn.Parameter(torch.rand(2))
        self.n = None
    def forward(self, x):
        return self.l(x * self.p) + 1
class Top(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Sub()
        self.seq = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1, bias=False))
        self.lst = nn.ModuleList([nn.Identity(), nn.Identity(), nn.Tanh()])
        self.shared = self.a.l
    def forward(self, x):
        return self.seq(self.a(x))
m = Top()
x = torch.rand(4, 2)
"""

_MODULE_CASES = {
    "text and call": "print(m)\nm(x)",
    "state_dict": "print(list(m.state_dict()), m.state_dict()._metadata)\nm.load_state_dict(m.state_dict())",
    "names": "print([n for n, _ in m.named_parameters()], [n for n, _ in m.named_buffers()])\n[n for n, _ in m.named_modules()], [n for n, _ in m.named_children()]",
    "gradients": "m(x).sum().backward()\nprint(m.a.p.grad, m.a.p)\nm.zero_grad()\nm.a.p.grad",
    "load errors": """
s = OrderedDict(m.state_dict())
del s["a.p"]
s["foo"] = torch.ones(1)
s["a.l.weight"] = torch.ones(1)
m.load_state_dict(s)
""",
    "load not strict": "s = OrderedDict(m.state_dict())\ndel s['a.p']\ns['foo'] = torch.ones(1)\nm.load_state_dict(s, strict=False)",
    "load other type": "m.load_state_dict(3)",
    "assign": "m.load_state_dict({k: v * 2 for k, v in m.state_dict().items()}, assign=True)\nm.a.b, m.a.p.requires_grad",
    "bad parameter": "m.a.p = torch.ones(2)",
    "bad module": "m.a = 3",
    "bad buffer": "m.a.b = 3",
    "taken buffer": "m.register_buffer('a', torch.ones(1))",
    "no parameter": "m.register_parameter('x', torch.ones(1))",
    "dotted parameter": "m.register_parameter('x.y', None)",
    "computed parameter": "m.register_parameter('x', m.a.p * 2)",
    "no module": "m.add_module('x', 3)",
    "no attribute": "m.foo",
    "paths": "m.get_submodule('seq.0'), m.get_parameter('a.p').shape, m.get_buffer('a.b')",
    "bad path": "m.get_submodule('seq.5')",
    "no forward": "nn.Module()(3)",
    "before init": "class Bad(nn.Module):\n    def __init__(self):\n        self.l = nn.Linear(1, 1)\nBad()",
    "conversions": "print(m.double().a.p.dtype, m.float().a.b.dtype, m.to(torch.float64).seq[0].weight.dtype, m.half().a.c.dtype)\nm.to(torch.int32)",
    "modes": "m.training, m.eval().seq.training, m.train().lst[2].training",
    "bad mode": "m.train(3)",
    "forward hooks": """
h = []
after = m.a.register_forward_hook(lambda mod, i, o: h.append((type(mod).__name__, len(i), o.shape)))
before = m.a.register_forward_pre_hook(lambda mod, i: (i[0] * 0,))
print(m(x))
after.remove()
before.remove()
m.seq.register_forward_hook(lambda mod, i, k, o: o * 0, with_kwargs=True)
h, m(x)
""",
    "backward hooks": """
h = []
m.seq.register_full_backward_hook(lambda mod, gi, go: h.append((gi[0].shape, go[0])))
o = m(x)
print(o)
o.sum().backward()
h
""",
    "copies": "import copy, pickle\nc = copy.deepcopy(m)\nprint(torch.equal(c.a.p, m.a.p), c.a.p is m.a.p, c.shared is c.a.l)\npickle.loads(pickle.dumps(m.seq))",
    "apply": "m.apply(lambda mod: print(type(mod).__name__)) and None",
    "frozen": "m.requires_grad_(False)\nm(x).requires_grad",
    "delete": "del m.a.b\ndel m.seq\nlist(m.state_dict()), m",
    "sequential": "s = m.seq\nprint(s[0], s[-1], s[:1], len(s))\ns.append(nn.Identity())\ndel s[0]\ns, s + nn.Sequential(nn.Tanh()), nn.Sequential(OrderedDict(a=nn.Linear(1, 1), b=nn.Tanh()))",
    "containers": "print(nn.ParameterList([torch.ones(2), nn.Parameter(torch.ones(1))]), nn.ParameterDict({'a': torch.ones(2)}))\nd = nn.ModuleDict({'a': nn.Tanh(), 'b': nn.ReLU()})\nd.pop('a')\nd, list(d.keys()), nn.ModuleList([nn.Tanh()]) + [nn.ReLU()], nn.ModuleList()",
    "call of a list": "nn.ModuleList([nn.Tanh()])(x)",
    "layers": "nn.Dropout(0.3), nn.Flatten(), nn.Embedding(3, 4), nn.LayerNorm(4), nn.GELU(), nn.LeakyReLU(), nn.Softmax(1), nn.ReLU(inplace=True), nn.Bilinear(1, 2, 3), nn.Unflatten(1, (2, 3)), nn.ELU(), nn.Hardtanh(), nn.PReLU(), nn.Softplus(), nn.Threshold(1, 2), nn.CrossEntropyLoss()",
    "parameters": "nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False), isinstance(m.a.p, torch.Tensor)",
    "integer parameter": "nn.Parameter(torch.ones(2, dtype=torch.int64))",
}  # fmt: skip
MODULES = {f"modules: {name}": _MODEL + code for name, code in _MODULE_CASES.items()}

PRINTING = table(
    "printing",
    """
    torch.tensor([1.0, 2.5, -3.25]), torch.tensor([1.0, 2.0]), torch.tensor([1e-5, 1.0]), torch.tensor([1e10, 1.0])
    torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0]), torch.tensor([0.0, -0.0]), torch.tensor(3.14159), torch.tensor([])
    torch.arange(1001), torch.arange(1001.0).view(7, 143), torch.zeros(11, 11, 11)[0, 0], torch.zeros(2, 3, 4)
    torch.tensor([True, False]), torch.tensor([1 + 2j, -1.5 - 0.25j]), torch.tensor([[1], [100]], dtype=torch.uint8)
    torch.rand(3, 3).double().dtype, torch.ones(2, dtype=torch.float16), torch.ones(2, dtype=torch.bfloat16), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    torch.ones(30), torch.ones(2, 2, requires_grad=True), torch.ones(12, dtype=torch.float64, requires_grad=True) * 1.5
    torch.tensor([123456789, 1]), torch.tensor([123456.789, 0.001]), torch.tensor([1000.5, 1.0]), torch.tensor([9999.0, 0.5])
    """,
) | {
    "printing: options": """
x = torch.tensor([[1.23456789, 1000.5], [0.001, 2.0]])
torch.set_printoptions(precision=2)
print(x)
torch.set_printoptions(sci_mode=True)
print(x)
torch.set_printoptions(profile="short")
print(torch.arange(2000.0), x)
torch.set_printoptions(profile="default", linewidth=40, edgeitems=2, threshold=5)
print(torch.arange(30.0), torch.ones(6, 6))
torch.set_printoptions(profile="full")
torch.arange(1200).view(40, 30)
""",
}

_LAYERS = """
nn.Conv1d(4, 6, 3) | x1
nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2) | x2
nn.Conv2d(4, 2, 3, padding="same", padding_mode="reflect", bias=False) | x2
nn.Conv3d(2, 3, 2) | x3
nn.ConvTranspose1d(4, 3, 2, stride=2) | x1
nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1) | x2
nn.MaxPool1d(2) | x1
nn.MaxPool2d(2) | x2
nn.MaxPool2d(2, return_indices=True) | x2
nn.AvgPool1d(2) | x1
nn.AvgPool2d(3, 2, 1) | x2
nn.AdaptiveAvgPool1d(3) | x1
nn.AdaptiveAvgPool2d((3, None)) | x2
nn.AdaptiveMaxPool2d(2) | x2
nn.BatchNorm1d(4) | x1
nn.BatchNorm2d(4) | x2
nn.BatchNorm2d(4).eval() | x2
nn.InstanceNorm2d(4) | x2
nn.GroupNorm(2, 4) | x2
nn.LayerNorm(8) | x1
nn.ZeroPad2d(1) | x2
nn.ReflectionPad1d(2) | x1
nn.ReplicationPad2d(1) | x2
nn.ConstantPad1d(1, 2.5) | x1
nn.MultiheadAttention(8, 2) | x1, x1, x1
nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True, kdim=3, vdim=4) | x1, x1[..., :3], x1[..., :4]
nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0) | x1
nn.CrossEntropyLoss() | p, t
nn.CrossEntropyLoss(label_smoothing=0.1, reduction="sum") | p, t
nn.NLLLoss() | p.log(), t
nn.MSELoss() | p, y
nn.L1Loss(reduction="none") | p, y
nn.SmoothL1Loss() | p, y
nn.HuberLoss() | p, y
nn.KLDivLoss(reduction="batchmean") | p.log(), y
nn.BCELoss() | p, y
nn.BCEWithLogitsLoss() | p, y
nn.Embedding(5, 3) | t
nn.GELU() | x1
nn.GLU() | x1
"""
_LAYER_CASE = """
torch.manual_seed(0)
x1, x2, x3 = torch.rand(2, 4, 8), torch.rand(2, 4, 8, 8), torch.rand(1, 2, 4, 4, 4)
p, t, y = torch.rand(4, 3), torch.tensor([0, 2, 1, 1]), torch.rand(4, 3)
m = {0}
print(m, list(m.state_dict()))
out = m({1})
for o in out if isinstance(out, tuple) else (out,):
    print(o.shape, o.detach().flatten()[-12:])
"""
LAYERS = {f"layers: {line}": _LAYER_CASE.format(*line.split(" | ")) for line in _LAYERS.strip().splitlines()}

_OVERLAPS = """
b[1:].add_(b[:-1])
b[1:] += b[:-1]
b[1:] = b[:-1]
b[1:].copy_(b[:-1])
torch.add(b[:-1], 1, out=b[1:])
torch.exp(b[:-1], out=b[1:])
b.mul_(b)
b[:3].mul_(b[:3].t())
b[:2].add_(b[2:])
b[:, :2] += b[:, 1:]
b[:, 1:] = b[:, :-1]
b[:, 1:].copy_(b[:, :-1])
b[:, 1:] += b[:, :-1]
b[:, 1:].mul_(b[:, :-1].double())
b -= b[:, :1]
b /= b[:, -1:]
b[:, :] = b[:, 1:2]
b[1:3, :2].copy_(b[1:3, :2].t())
b[1:, 1:] = b[:-1, :-1]
b.t()[1:] = b.t()[:-1]
b = torch.arange(4); c = b; c <<= 2; c >>= torch.tensor([0, 1, 0, 1])
b[:] = b[0]
b[:2] = b[1:2]
b = torch.arange(6000.0).reshape(3, 40, 50).clone(); b[:, 1:] = b[:, :-1]
b = torch.arange(200).reshape(2, 100).clone(); b[:, 90:] = b[:, 80:90]; b[:, 20:60] = b[:, :40]
b[0].expand(4, 3).add_(1)
b[0].expand(4, 3).relu_()
b[0].expand(4, 3).copy_(b + 1)
b[0].expand(4, 3).fill_(1)
b[0].expand(4, 3)[0, 0] = 5
m = torch.zeros(4, 3) > 1; m[0] = True; b[0].expand(4, 3).masked_fill_(m, 7.0)
b[0].expand(4, 3).index_fill_(0, torch.tensor([1]), 5.0)
b[torch.tensor([0, 1])] = b[1:3]
b[b > 2] = b[0, 0]
b[1:].addcmul_(b[:-1], b[:-1])
b.index_add_(0, torch.tensor([0, 1]), b[1:3])
b.scatter_(0, torch.tensor([[0, 1, 2]]), b[1:])
torch.add(b, 1, out=torch.empty(0)); o = torch.empty(0); print(torch.add(b, 1, out=o) is o, o)
v, i = torch.empty(0), torch.empty(0, dtype=torch.int64); torch.max(b, 0, out=(v, i)); print(v, i)
print(b.diagonal().untyped_storage().nbytes(), b[1:].unfold(0, 2, 1).untyped_storage().nbytes())
"""
OVERLAPS = {
    f"overlap: {line}": f"b = torch.arange(12.0).reshape(4, 3)\n{line}\nprint(b)"
    for line in _OVERLAPS.strip().splitlines()
}

GROUPS = {
    "layers": LAYERS,
    "creation": CREATION, "operators": OPERATORS, "shapes": SHAPES, "conversions": CONVERSIONS, "indexing": INDEXING,
    "tape": TAPE, "random": RANDOM, "modules": MODULES, "printing": PRINTING,
    "overlaps": OVERLAPS, "errors": operator_errors.EAGER,
}  # fmt: skip
