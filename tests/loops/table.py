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


def cases(program, inputs):
    """Add a program; ``inputs()`` gives the tuples of its arguments."""
    PROGRAMS[program.__name__] = program, inputs
    return program
