"""The programs of these files, each with the inputs that take its paths; the first are the example that is exported."""

import bridge as torch

PROGRAMS = {}


def ramp(*size):
    """Numbers that look drawn, the same everywhere."""
    count = 1
    for n in size:
        count *= n
    x = torch.arange(count, dtype=torch.float32)
    return torch.sin(x * 1.7 + 0.3).reshape(size)


#: What cannot be exported, by program: what the error says.
REFUSED = {}


def cases(program, inputs, refused=None):
    """Add a program; ``inputs()`` gives the tuples of its arguments, ``refused`` is what its export says that it cannot do."""
    if refused is not None:
        REFUSED[program.__name__] = refused
    assert program.__name__ not in PROGRAMS, f"two programs are called {program.__name__}"
    PROGRAMS[program.__name__] = program, inputs
    return program
