"""The intermediate representation: types, graph, operators, text, passes, interpreter. Depends on NumPy only."""

if __name__ != "bridge.ir":
    raise ImportError("import this package as 'bridge.ir'")
