"""The functions that are written in the language itself, compiled where a program uses them."""

from __future__ import annotations

TEXT = """
def sorted_by(items, key, reverse: bool):
    source = list(items)
    order = sorted([(key(source[i]), -i if reverse else i) for i in range(len(source))])
    if reverse:
        order.reverse()
    return [source[abs(pair[1])] for pair in order]

def sort_by(items, key, reverse: bool):
    source = items.copy()
    order = sorted([(key(source[i]), -i if reverse else i) for i in range(len(source))])
    if reverse:
        order.reverse()
    for i in range(len(source)):
        items[i] = source[abs(order[i][1])]

def max_by(items, key):
    source = list(items)
    if len(source) == 0:
        raise ValueError("max() arg is an empty sequence")
    best = source[0]
    most = key(best)
    for i in range(1, len(source)):
        this = key(source[i])
        if this > most:
            best = source[i]
            most = this
    return best

def min_by(items, key):
    source = list(items)
    if len(source) == 0:
        raise ValueError("min() arg is an empty sequence")
    best = source[0]
    least = key(best)
    for i in range(1, len(source)):
        this = key(source[i])
        if this < least:
            best = source[i]
            least = this
    return best

def max_or(items, key, default):
    source = list(items)
    if len(source) == 0:
        return default
    return max(source, key=key)

def min_or(items, key, default):
    source = list(items)
    if len(source) == 0:
        return default
    return min(source, key=key)

def identity(value):
    return value

def reduce(function, items):
    source = list(items)
    if len(source) == 0:
        raise TypeError("reduce() of empty iterable with no initial value")
    total = source[0]
    for i in range(1, len(source)):
        total = function(total, source[i])
    return total

def reduce_from(function, items, start):
    total = start
    for item in items:
        total = function(total, item)
    return total

def power(base: int, exponent: int, modulus: int):
    if exponent < 0:
        raise ValueError("pow() with a negative exponent and a modulus is not supported")
    result = 1 % modulus
    base = base % modulus
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent = exponent // 2
    return result

def whole_power(base: int, exponent: int):
    if exponent < 0:
        raise TypeError("'float' object cannot be interpreted as an integer")
    if base == 2:
        return 1 << exponent
    result = 1
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * base
        base = base * base
        exponent = exponent // 2
    return result

def range_contains(start: int, stop: int, step: int, value: int):
    if step > 0:
        return start <= value and value < stop and (value - start) % step == 0
    return stop < value and value <= start and (start - value) % -step == 0

def list_less(a, b):
    for i in range(min(len(a), len(b))):
        if a[i] != b[i]:
            return a[i] < b[i]
    return len(a) < len(b)

def list_contains(items, one):
    for item in items:
        if item == one:
            return True
    return False

def repeated(text: str, count: int):
    return "".join([text for _ in range(count)])

def slice_deleted(items, start: int, stop: int):
    first = min(max(start + len(items) if start < 0 else start, 0), len(items))
    last = min(max(stop + len(items) if stop < 0 else stop, 0), len(items))
    for _ in range(last - first):
        items.pop(first)

def slice_assigned(items, start: int, stop: int, values):
    first = min(max(start + len(items) if start < 0 else start, 0), len(items))
    last = min(max(stop + len(items) if stop < 0 else stop, 0), len(items))
    new = list(values)
    for _ in range(last - first):
        items.pop(first)
    for i in range(len(new)):
        items.insert(first + i, new[i])

def merged(first, second):
    result = first.copy()
    result.update(second)
    return result

def counted(items):
    source = list(items)
    counts = {item: 0 for item in source}
    for item in source:
        counts[item] = counts[item] + 1
    return counts

def most_common(counts, number: int):
    pairs = [(key, counts[key]) for key in counts.keys()]
    return sorted(pairs, key=lambda pair: -pair[1])[:number]

def shortened_at_start(items, limit: int):
    while len(items) > limit:
        items.pop(0)

def shortened_at_end(items, limit: int):
    while len(items) > limit:
        items.pop()

def unique(items):
    source = list(items)
    seen = {item: True for item in source}
    return list(seen.keys())

def set_add(items, item):
    if item not in items:
        items.append(item)

def set_discard(items, item):
    if item in items:
        items.remove(item)

def set_remove(items, item):
    if item not in items:
        raise KeyError(str(item))
    items.remove(item)

def set_update(items, other):
    for item in other:
        if item not in items:
            items.append(item)

def set_union(first, second):
    return first + [item for item in second if item not in first]

def set_intersection(first, second):
    return [item for item in first if item in second]

def set_difference(first, second):
    return [item for item in first if item not in second]

def set_symmetric_difference(first, second):
    return [item for item in first if item not in second] + [item for item in second if item not in first]

def set_subset(first, second):
    return all([item in second for item in first])

def set_superset(first, second):
    return all([item in first for item in second])

def set_equal_sets(first, second):
    return len(first) == len(second) and all([item in second for item in first])
"""
