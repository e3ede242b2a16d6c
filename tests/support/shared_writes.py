"""Programs that write to tensors which loops exchange, and to tensors in lists and dicts (see ``test_onnx_sharing``)."""

import bridge as torch
from bridge import Tensor


def rows_of_an_edit_distance(x, n: int):
    before = torch.arange(4)
    now = torch.zeros(4, dtype=torch.int64)
    for i in range(1, n + 1):
        now[0] = i
        for j in range(1, 4):
            cost = 0 if bool(x[0, j - 1] == i) else 1
            now[j] = torch.min(torch.min(before[j] + 1, now[j - 1] + 1), before[j - 1] + cost)
        before, now = now, before
    return before, now


def exchanged_in_two_loops(x, n: int):
    a, b = x.clone(), torch.zeros_like(x)
    for t in range(n):
        for i in range(t + 1):
            b[0] = a[1] + i
            b[1] += a[0]
            a, b = b, a
        a += 1
    return a, b


def exchanged_on_some_paths(x, n: int):
    a, b, c = x.clone(), torch.zeros_like(x), x + 2
    for i in range(n):
        b[0] += a[1] + c[0]
        if i == 1:
            a, b = b, torch.ones_like(x)
        elif i == 2:
            a, b, c = b, c, a
    return a, b, c


def exchanged_while(x, n: int):
    a, b = x, torch.zeros_like(x)
    k = 0
    while k < n:
        b.copy_(a)
        b[0] += a[1] + 1
        held = a
        a = b
        b = held
        k += 1
        if bool(a.sum() > 100):
            break
    a += 1
    return a, b


def exchanged_with_a_view_before(x, n: int):
    a, b = x.clone(), torch.zeros_like(x)
    row = a[0]
    for _i in range(n):
        b[0] = a[1] + 1
        a, b = b, a
    return a, b, row


def exchanged_with_a_view_behind(x, n: int):
    a, b = x.clone(), torch.zeros_like(x)
    row = x[0]
    for _i in range(n):
        b[0] = a[1] + 1
        row = b[0]
        a, b = b, a
    return a, b, row


def exchanged_and_listed(x, n: int):
    a, b = x.clone(), torch.zeros_like(x)
    held = [x]
    for _i in range(n):
        b[0] = a[1] + 1
        held.append(b)
        a, b = b, a
    return a, held[-1]


def exchanged_again_in_a_loop(x, n: int):
    a, b = x.clone(), torch.zeros_like(x)
    total = torch.zeros(3)
    for _t in range(n):
        p, q = a, b
        for i in range(2):
            q[0] = p[1] + i
            p[1] += q[0]
            p, q = q, p
        total = total + p[0] + q[1]
    return total, a


def one_tensor_exchanged(x, n: int):
    a = x.clone()
    b = a
    for _i in range(n):
        b[0] = a[1] + 1
        a, b = b, a
    return a, b


def lost_by_an_exchange(x, n: int):
    a, b = x.clone(), torch.zeros_like(x)
    for i in range(n):
        b[0] += a[1] + 1
        if i == 1:
            a = b
        else:
            a, b = b, a
    return a, b


def put_anywhere_into_a_list(x, n: int):
    y, z = x + 1, x + 2
    held = [x + 0]
    held.insert(0, y)
    held.insert(1, z)
    held.reverse()
    part = held[::2]
    y[0] = n
    z += 1
    last = held.pop()
    last *= 3
    return held[0], held[1], y, z, part[1], part[0]


def held_by_tuples_in_a_list(x, n: int):
    y = x + 1
    held = [(1, y), (n, x + 2)]
    held.append((3, y))
    y[0] = n
    held[1][1].add_(5)
    return held[0][1], held[1][1], held[2][1]


def kept_in_a_dict(x, n: int):
    state = {"seen": x.clone(), "sum": torch.zeros(3)}
    for i in range(n):
        state["sum"][i] = state["seen"][0, i]
        state["seen"] = state["seen"] + 1
    return state["seen"], state["sum"]


def another_of_a_dict(x, n: int):
    y = x + 1
    state = {"a": y, "b": x + 2}
    for i in range(n):
        state["a"] = state["b"] * i
    y += 1
    return state["a"], y


def added_to_a_list_in_a_loop(x, n: int):
    y = x + 1
    held = [x + 2]
    for _i in range(n):
        held += [y]
        y[0] += 1
    return held[-1], y


def rows_of_a_table(x, n: int):
    rows = [torch.zeros(4) for _ in range(n + 1)]
    for i in range(1, n + 1):
        row = rows[i]
        before = rows[i - 1]
        for j in range(1, 4):
            row[j] = row[j - 1] + before[j] + x[0, j - 1]
    return torch.stack(rows), rows[n]


def two_buffers_by_number(x, n: int):
    b = [torch.zeros(3), torch.ones(3)]
    for i in range(n):
        now, other = b[i % 2], b[1 - i % 2]
        now.copy_(other * 2)
        b[(i + 1) % 2] += 1
        other[0] = now[1] + b[i % 2][2]
    return b[0], b[1]


def a_cache_of_every_layer(x, n: int):
    keys = [torch.zeros(4, 3) for _ in range(2)]
    for t in range(n):
        h = x[0]
        for layer in range(2):
            keys[layer][t] = h
            h = h + keys[layer].sum(0)
    return keys[0], keys[1]


def the_last_of_a_list(x, n: int):
    out = [x[1] + 0]
    for i in range(n):
        out.append(torch.zeros(3))
        out[-1][1] = x[0, i % 3]
        if i > 0:
            out[i - 1][2] = out[i][1]
            out[0] += 1
    return out[0], out[n]


def add_at(b: Tensor, i: int) -> None:
    b[i % 3] += i + 1


def elements_in_branches_and_loops(x, n: int):
    out = [torch.zeros(3) for _ in range(n + 2)]
    kept = out[n][1:]
    if n > 1:
        out[n][1] = 4
    else:
        out[n - n] += 2
        out[n + 1].mul_(3).add_(1)
    for k, r in enumerate(out):
        r += x[0]
        add_at(r, k)
    return torch.stack(out), kept + 1


def one_tensor_twice_in_a_list(x, n: int):
    out = [x + 0]
    for i in range(n):
        z = torch.zeros(2, 3)
        for _j in range(i):
            out.append(z)
    for k in range(len(out)):
        out[k][0] += 1
    return torch.stack(out), x


def one_tensor_in_two_lists(x, n: int):
    a, b = [torch.zeros(3)], [torch.ones(3)]
    for _i in range(n):
        z = torch.zeros(3)
        a.append(z)
        b.append(z)
    a[n][0] = 5
    return torch.stack(a), torch.stack(b)


def named_after_it_was_listed(x, n: int):
    out = [torch.zeros(3)]
    z = torch.zeros(3)
    for _i in range(n):
        z = torch.ones(3)
        out.append(z)
    out[n][1] = 7
    return z, out[n]


def taken_out_before(x, n: int):
    b = [torch.zeros(3), torch.ones(3)]
    a = b[0]
    for i in range(n):
        b[i % 2][0] = i + 1
    return a, b[1]


def replaced_after_it_was_taken(x, n: int):
    out = [torch.zeros(3) for _ in range(n + 2)]
    c = out[n]
    out[n] = x[0]
    c += 1
    return c, out[n]
