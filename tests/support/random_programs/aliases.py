"""Small programs that write to memory which has other names: a view, a write and a place for both, every one with every other."""

from __future__ import annotations

import itertools
import random

from support.random_programs.program import RandomProgram

__all__ = ["programs"]

#: Parts of a tensor of two dimensions, or other forms of it, or it itself.
VIEWS = (
    "{0}[0]", "{0}[1:]", "{0}[:, 1]", "{0}.t()", "{0}.view(-1)", "{0}.narrow(0, 0, 2)", "{0}.select(1, 0)", "{0}.unsqueeze(0)",
    "{0}.diagonal()", "{0}[::2]", "{0}.unbind(0)[1]", "{0}.chunk(2, 0)[0]", "{0}.split(1, 1)[1]", "{0}.transpose(0, 1)[1]",
    "{0}.detach()", "{0}.permute(1, 0)", "{0}.squeeze()", "{0}.reshape(-1)", "{0}.flatten()", "{0}.contiguous()",
    "{0}.to(torch.float32)", "{0}[..., :]", "{0}[None]", "{0}[0][1:]", "torch.split({0}, [1, 1], 0)[1]", "{0}.view_as({0})",
    "{0}.swapaxes(0, 1)", "{0}", "{0}.t()[0]", "{0}[:, :2].t()", "{0}[1:].view(-1)", "{0}.expand(2, 2)", "{0}.T",
    "{0}.unfold(0, 2, 1)", "{0}.unsqueeze(0).squeeze(0)", "{0}[-1]", "{0}.movedim(0, 1)", "{0}[:1].expand(2, 2)",
    "{0}.clone()", "{0}.t().contiguous()", "{0}.index_select(0, torch.tensor([1, 0]))", "({0} + 0)", "{0}.float()", "{0}.type_as({0})",
    "torch.atleast_2d({0})", "{0}.view(2, 2).t()", "{0}.unflatten(0, (2, 1))", "{0}.flip(0)", "torch.real({0})",
    "torch.nn.functional.dropout({0}, 0.5, False)", "torch.broadcast_tensors({0}, {0})[0]", "{0}.sum_to_size(2, 2)",
    "torch.einsum('ij->ji', {0})", "{0}.ravel()", "torch.nn.functional.alpha_dropout({0}, 0.5, False)", "{0}.hsplit(2)[0]",
    "torch.broadcast_to({0}, (2, 2))", "torch.atleast_1d({0})", "torch.positive({0})", "{0}.tensor_split(2)[1]",
)  # fmt: skip

WRITES = (
    "{0}.add_(1)", "{0} += 2", "{0}.zero_()", "{0}[0] = 7", "{0}.copy_({0} * 2)", "{0}.mul_({0})", "{0}[{0} > 1] = 0",
    "{0}.masked_fill_({0} < 2, 5)", "{0}.index_put_((torch.tensor([0, 0]),), torch.tensor(1.0), accumulate=True)",
    "{0}.sub_({0}.sum())", "{0}.clamp_(0, 2)", "{0}[:1] += {0}[:1]", "{0}[0] *= 3", "{0}.copy_({0}.flip(0))",
    "{0}.index_fill_(0, torch.tensor([0]), 4)", "{0}.add_(x1.sum())", "{0}[-1] -= x0.sum()", "{0}.fill_(3).add_(1)",
    "{0}[::2] = 1", "{0}.relu_()", "torch.add({0}, {0}, out={0})", "{0} //= 2", "{0}[1:].copy_({0}[:-1].clone())", "{0}.t_()",
    "{0}.unsqueeze_(0)", "{0}.squeeze_()",
)  # fmt: skip

PLACES = {
    "after": "v = VIEW(x0)\nWRITE(v)\nreturn x0, v, x1",
    "before": "v = VIEW(x0)\nWRITE(x0)\nreturn v, x0",
    "both": "v = VIEW(x0)\nWRITE(v)\nw = VIEW(x0)\nWRITE(x0)\nWRITE(w)\nreturn v, w, x0",
    "view of a view": "v = VIEW(x0)\nw = v[:1]\nWRITE(v)\nw.add_(1)\nreturn v, w, x0",
    "in a branch": "v = VIEW(x0)\nif n > 0:\n    WRITE(v)\nreturn v, x0",
    "in both branches": "v = VIEW(x0)\nif n > 0:\n    WRITE(v)\nelse:\n    WRITE(x0)\nreturn v, x0",
    "made in a branch": "if n > 0:\n    v = VIEW(x0)\nelse:\n    v = VIEW(x1)\nWRITE(v)\nreturn v, x0, x1",
    "copied in a branch": "if n > 0:\n    v = VIEW(x0)\nelse:\n    v = VIEW(x0).clone()\nWRITE(v)\nreturn v, x0",
    "written in a branch": "v = x1\nif n > 0:\n    v = VIEW(x0)\n    WRITE(v)\nreturn v, x0, x1",
    "loop": "for i in range(n):\n    v = VIEW(x0)\n    WRITE(v)\n    x0.clamp_(-50, 50)\nreturn x0",
    "loop outside": "v = VIEW(x0)\nfor i in range(n):\n    WRITE(v)\n    x0.clamp_(-50, 50)\n    x1 = x1 + x0.sum()\nreturn v, x0, x1",
    "loop carries": "v = x1\nfor i in range(n):\n    WRITE(v)\n    v = VIEW(x0)\n    x0.clamp_(-50, 50)\nreturn v, x0, x1",
    "loop swaps": "a = x0\nb = x1\nfor i in range(n):\n    WRITE(VIEW(a))\n    a, b = b, a\n    x0.clamp_(-50, 50)\n    x1.clamp_(-50, 50)\nreturn a, b, x0, x1",
    "element": "l = [x0, x1]\nv = VIEW(l[0])\nWRITE(v)\nreturn l[0], x0, x1",
    "elements": "l = [x0, x1]\nfor e in l:\n    WRITE(VIEW(e))\nreturn l[1], x0, x1",
    "appended": "l = [x1]\nv = VIEW(x0)\nl.append(v)\nWRITE(l[-1])\nreturn l[0], x0, v",
    "list of time": "l: List[Tensor] = []\nfor i in range(n):\n    l.append(VIEW(x0))\n    WRITE(x0)\n    x0.clamp_(-50, 50)\nreturn l, x0",
    "one of a list": "l = [x0, x1]\nWRITE(VIEW(l[n % 2]))\nreturn x0, x1",
    "replaced": "l = [x0, x1]\nif n > 0:\n    l[0] = x1\nWRITE(VIEW(l[0]))\nreturn x0, x1, l[0]",
    "while": "k = 0\nwhile bool(x0.sum() < 9) and k < 3:\n    WRITE(VIEW(x0))\n    x0.clamp_(-50, 50)\n    k += 1\nreturn x0, k",
    "while view": "k = 0\nv = VIEW(x0)\nwhile bool(v.sum() < 9) and k < 3:\n    x0.add_(k)\n    k += 1\nreturn v, x0, k",
    "helper": "w = changed(x0)\nreturn w, x0",
    "helper on a view": "v = VIEW(x0)\nw = changed(v[None][0])\nreturn v, w, x0",
    "helper of two": "w = both(x0, VIEW(x0), n)\nreturn w, x0",
    "returned": "v = part(x0)\nWRITE(v)\nreturn v, x0",
    "returned on some paths": "v = some(x0, x1, n)\nWRITE(v)\nreturn v, x0, x1",
    "tuple": "p = (x0, VIEW(x0))\nWRITE(p[1])\na, b = p\nreturn a, b",
    "dict": "d = {'a': x0, 'b': VIEW(x0)}\nWRITE(d['b'])\nreturn d['a'], x0",
    "optional": "o: Optional[Tensor] = None\nif n > 0:\n    o = VIEW(x0)\nif o is not None:\n    WRITE(o)\nreturn x0",
    "left early": "v = VIEW(x0)\nfor i in range(n):\n    if i == 1:\n        WRITE(v)\n        break\n    x1.add_(i)\nreturn v, x0, x1",
    "nested": "v = VIEW(x0)\nfor i in range(n):\n    for j in range(i):\n        if j > 0:\n            WRITE(v)\n            x0.clamp_(-50, 50)\n            continue\n        x1 += 1\nreturn v, x0, x1",
    "gone": "v = VIEW(x0)\nx0 = x0 + 1\nWRITE(v)\nreturn v, x0",
    "read between": "a = x0.sum()\nv = VIEW(x0)\nb = x0 * 2\nWRITE(v)\nc = x0.sum()\nreturn a, b, c",
    "copy of itself": "x0[1:].copy_(x0[:-1].clone())\nv = VIEW(x0)\nv.copy_(v.clone())\nWRITE(v)\nreturn x0",
    "loop over rows": "for e in x0:\n    WRITE(e[None])\nv = VIEW(x0)\nreturn x0, v",
    "comprehension": "l = [VIEW(e) for e in [x0, x1]]\nWRITE(l[0])\nreturn x0, x1",
    "conditional expression": "v = VIEW(x0) if n > 0 else VIEW(x1)\nWRITE(v)\nreturn x0, x1",
}

MODULE = {
    "buffer": "v = VIEW(self.b)\nWRITE(v)\nreturn self.b + 0, v + 0",
    "buffer in a loop": "for i in range(n):\n    WRITE(VIEW(self.b))\n    self.b.clamp_(-50, 50)\nreturn x0 + self.b",
    "buffer replaced": "v = VIEW(self.b)\nself.b = x0 * 2\nWRITE(v)\nreturn self.b + v.sum()",
    "buffer in a branch": "if n > 0:\n    WRITE(VIEW(self.b))\nreturn self.b * 1",
    "buffer given back": "v = VIEW(self.b)\nif n > 1:\n    WRITE(v)\nreturn v",
    "buffer or argument": "v = self.b if n > 0 else x0\nWRITE(VIEW(v))\nreturn self.b + x0",
    "buffer by a method": "self.change(n)\nreturn self.b + 0",
    "buffer of a part": "self.sub.b.copy_(VIEW(x0).sum() + self.sub.b)\nself.again.b += 1\nreturn self.sub.b + 0",
}  # fmt: skip

_HEAD = "import torch\nfrom torch import Tensor, nn\nfrom typing import List, Optional\n\n"
_HELPERS = """def changed(a: Tensor) -> Tensor:
    v = VIEW(a)
    WRITE(v)
    return v

def both(a: Tensor, v: Tensor, n: int) -> Tensor:
    if n > 1:
        return a
    WRITE(v)
    return a + 0

def part(a: Tensor) -> Tensor:
    return VIEW(a)

def some(a: Tensor, b: Tensor, n: int) -> Tensor:
    if n > 0:
        return VIEW(a)
    return b

"""
_CLASSES = """class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("b", torch.ones(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b

class Program(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("b", torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
        self.sub = Part()
        self.again = self.sub

    def change(self, n: int) -> None:
        v = VIEW(self.b)
        if n > 1:
            WRITE(v)

    def forward(self, x0: Tensor, x1: Tensor, n: int):
"""


def _filled(text: str, view: str, write: str) -> str:
    """The text with a view and a write in it: ``VIEW(x)`` and ``WRITE(x)`` of names, of items and of views."""
    for mark, form in (("VIEW", view), ("WRITE", write)):
        while f"{mark}(" in text:
            at = text.index(f"{mark}(")
            end, depth = at + len(mark), 0
            while True:
                depth += (text[end] == "(") - (text[end] == ")")
                end += 1
                if depth == 0:
                    break
            text = text[:at] + form.format(text[at + len(mark) + 1 : end - 1]) + text[end:]
    return text


def _program(place: str, view: str, write: str) -> RandomProgram | None:
    module = place in MODULE
    body = (MODULE if module else PLACES)[place]
    lines = body.split("\n")
    if any(f"WRITE({x}" in body for x in ("VIEW", "e[None]")) and " = " in write.replace("==", "") and "[" not in write:
        return None
    if " +=" in write or " //=" in write:  # of what is no name: an assignment to a call is no Python
        lines = [part for line in lines for part in _named(line)]
    indent = "        " if module else "    "
    text = _filled(_CLASSES if module else _HELPERS, view, write) + (
        "" if module else "def Program(x0: Tensor, x1: Tensor, n: int):\n"
    )
    text += "".join(f"{indent}{_filled(line, view, write)}\n" for line in lines)
    first, second = ("float32", [[1.0, 2.0], [3.0, -4.0]], [2, 2]), ("float32", [[0.0, 5.0], [2.0, 1.0]], [2, 2])
    return RandomProgram(_HEAD + text, [[first, second, n] for n in (1, 0, 3, -1, 2)], module)


def _named(line: str) -> list[str]:
    """``WRITE(VIEW(x))`` in two statements."""
    stripped = line.lstrip()
    inside = stripped.removeprefix("WRITE(").removesuffix(")")
    if not stripped.startswith("WRITE(") or inside.isidentifier():
        return [line]
    space = line[: len(line) - len(stripped)]
    return [f"{space}t = {inside}", f"{space}WRITE(t)"]


def programs(count: int, seed: int = 0) -> dict[str, RandomProgram]:
    """So many of them by name, each place about as often as the others."""
    r = random.Random(seed)
    found: dict[str, RandomProgram] = {}
    for place in itertools.cycle([*PLACES, *MODULE]):
        if len(found) >= count:
            return found
        view, write = r.choice(VIEWS), r.choice(WRITES)
        made = _program(place, view, write)
        if made is not None:
            found[f"{place}, {view.format('x')}, {write.format('v')}"] = made
    raise AssertionError
