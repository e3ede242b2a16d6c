"""The functions that ``support.traces`` traces. See there."""

# fmt: off
FUNCTIONS = [
    "return (x * 2).norm(), torch.norm(x * 2, dim=1), (x + 1).norm(1, 1, True)",
    "return torch.unique(x * 2), (y * 2).unique(), torch.unique(x + y, return_inverse=True)[1], torch.unique(x - y, dim=0)",
    "return (x * 2).unique_consecutive(), torch.cdist(x * 2, y + 1), torch.tensordot(x * 2, y + 1, dims=2)",
    "return (x * 2) // (y + 1), (x * 3) // 2, 2 // (x + 1), x.reshape(x.numel() // x.size(1), -1), reversed(x * 2)",
    # constants and arithmetic
    "return x + 1", "return x - 1", "return 1 - x", "return x * 2.5", "return 2 / x", "return x / 2", "return x ** 2",
    "return 2 ** x", "return x // 2", "return x % 2", "return -x", "return abs(x)", "return x + True", "return x @ y.t()",
    "return x.add(y, alpha=2)", "return torch.add(x, 1, alpha=2)", "return x.pow(2)", "return x.sub(y)", "return x > 0",
    "return x == y", "return x != 1", "return 3 < x", "return ~(x > 0)", "return (x > 0) & (y > 0)",
    "return (x > 0) | (y > 0)", "return torch.mul(x, 2)", "return x * 2 + x * 2", "return +x",
    # pointwise, reductions
    "return torch.sigmoid(x).tanh()", "return x.exp().log().sqrt()", "return torch.relu(x)", "return x.sum()",
    "return x.sum(1, keepdim=True)", "return x.sum((0, 1))", "return x.mean(dim=-1)", "return x.sum(dtype=torch.float64)",
    "return x.max()", "v, i = x.max(1)\nreturn v", "return x.max(1)", "return torch.max(x, y)", "return x.argmax(1)",
    "return (x > 0).all(1)", "return x.any()", "return torch.where(x > 0, x, y)", "return x.clamp(min=0)",
    "return x.clamp(0, 1)", "return x.cumsum(0)", "return x.masked_fill(x > 0.5, 0.)", "return torch.maximum(x, y)",
    "return torch.matmul(x, y.t())", "return torch.where(x > 0, x, 0.)",
    # indexing
    "return x[0]", "return x[0:2]", "return x[:, 1:3]", "return x[..., 0]", "return x[None]", "return x[:, None, :]",
    "return x[x > 0.5]", "return x[::2, -1]", "return x[1, 2]", "return x[0][1]", "return x[[0, 1]]",
    "return x[x.size(0) - 1]", "return x[:x.size(0) - 1]", "return x[0, :, None]", "x = x + 0\nx[0] = 1.\nreturn x",
    "x = x + 0\nx[0] = y[1]\nreturn x", "x = x + 0\nx[:, 1] += 2\nreturn x", "x = x + 0\nx[x > 0.5] = 0.\nreturn x",
    "return x[torch.tensor([0, 1])]", "return x[torch.tensor(1)]",
    "x = x * 1\nx[x.size(0) - 1] = y[0]\nreturn x", "x = x * 1\nx[:, y.argmax() % 4] = 0\nreturn x", "return x[:, [0, 2]]",
    "return x.std()", "return x.std(1)", "return x.var(unbiased=False)", "return torch.as_tensor(x)",
    "return torch.as_tensor(x, dtype=torch.float64)",
    # sizes
    "return x.view(x.size(0), -1)", "return x.view(x.shape)", "return x.reshape(x.shape[0] * x.shape[1])",
    "a, b = x.shape\nreturn x.view(b, a)", "return x.numel() * x", "return torch.zeros(x.size(0), 4) + x",
    "return torch.zeros(x.shape)", "return x.new_ones(x.size())", "return x.expand(2, *x.shape)",
    "return torch.arange(x.size(0), dtype=torch.float32)", "return torch.arange(0, x.shape[0])",
    "n = x.size(0)\nreturn x.sum() * n", "return x / x.size(-1)", "return x.size(0) + x.dim() * y",
    # shapes
    "return torch.cat([x, y])", "return torch.stack((x, y), 1)", "return torch.cat(x.unbind(0))",
    "a, b = torch.chunk(x, 2, 1)\nreturn a + b", "a, b = x.split(2, 1)\nreturn a", "return torch.split(x, [1, 2])[1]",
    "return x.permute(1, 0)", "return x.transpose(0, 1)", "return x.unsqueeze(0).squeeze(0)", "return x.flatten()",
    "return x.repeat(2, 1)", "return x.contiguous()", "return x.t().contiguous()", "return x.clone()", "return x.detach()",
    "y = x * 2\ny.detach_()\nreturn y + 1",
    "return x.T", "return x.squeeze()", "return x.expand_as(y)",
    # dtypes
    "return x.float()", "return x.double()", "return x.to(torch.int64)", "return x.to(y)", "return x.to('cpu')",
    "return x.to('cpu', torch.float64)", "return x.long()", "return x.bool()", "return x.type_as(y)",
    # making tensors
    "return torch.zeros(3, 4) + x", "return torch.ones(3, dtype=torch.float64)", "return torch.arange(5) + 0",
    "return torch.full((2, 3), 1.5)", "return torch.zeros_like(x)", "return torch.ones_like(x, dtype=torch.int64)",
    "return x.new_zeros(3)", "return torch.tensor([1., 2.]) * x.sum()", "return torch.tensor(3.) + x",
    "return torch.randn(3, 4) + x", "return torch.rand_like(x)", "return torch.eye(3)", "return torch.linspace(0, 1, 5)",
    "return torch.empty(3).fill_(1)", "return torch.arange(0, 4, 2)", "return torch.full_like(x, 2)",
    "return torch.randint(0, 5, (3,))", "return x.new_tensor([1.]) + x",
    # in place
    "x.add_(1)\nreturn x", "x = x * 1\nx.add_(y).mul_(2)\nreturn x", "x = x * 1\nx += 1\nreturn x",
    "x = x * 1\nx.zero_()\nreturn x", "x = x * 1\nx.copy_(y)\nreturn x", "return torch.relu_(x * 2)",
    "z = x.view(-1)\nz.add_(1)\nreturn x", "x = x * 1\nx.fill_(2)\nreturn x",
    # functional
    "return F.relu(x)", "return F.softmax(x, dim=1)", "return F.linear(x, y)", "return F.log_softmax(x, -1)",
    "return F.linear(x, y, y.sum(1))", "return torch.nn.functional.relu(x, inplace=False)", "return F.gelu(x)",
    "return F.leaky_relu(x)", "return torch.softmax(x, 1)", "return F.dropout(x, 0.5, False)",
    # results
    "return x, y", "return (x, (y, x + 1))", "return [x, y]", "return x", "return None", "return 3", "return {'a': x}",
    "return (x, 1)", "return torch.ones(3)", "return y, y, y", "a = x + 1\nb = a\nreturn a, b", "return []", "return 'a'",
    # names
    "h = torch.tanh(x)\nh = torch.tanh(h)\nh = h + h\nreturn h", "x = x + y\nx = x * y\nreturn x",
    "for i in range(3):\n    x = torch.tanh(x)\nreturn x", "def g(q):\n    w = q * 2\n    return w + 1\nreturn g(g(x))",
    "z = [x, y]\nreturn z[0] + z[1]", "unused = x * 3\nreturn x + y", "return sum([x, y, x])",
    "out = []\nfor i in range(x.size(0)):\n    out.append(x[i])\nreturn torch.stack(out)",
    # decisions
    "if x.sum() > 0:\n    return x\nreturn -x", "return x * float(x.sum())", "return x * int(x.sum())",
    "return x * x.sum().item()", "return x[int(y.sum()) % 3]", "n = 0\nfor row in x:\n    n = n + row\nreturn n",
    "return x * len(x)", "return torch.tensor(x.tolist()) + y", "for i in range(x.size(0)):\n    y = y + x[i]\nreturn y",
    "if x.size(0) > 2:\n    return x\nreturn y", "assert x.shape == y.shape\nreturn x", "while x.sum() < 20:\n    x = x * 2\nreturn x",
    "return x if (x > 100).any() else y", "return torch.from_numpy(x.numpy()) + y", "a, b, c = x\nreturn a + b",
]
