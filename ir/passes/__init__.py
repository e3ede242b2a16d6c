"""Passes: each one file, a function of a graph that changes it in place. See each for what it needs and promises."""
