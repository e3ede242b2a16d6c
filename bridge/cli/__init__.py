"""The command ``bridge``: a thin layer over the Python functions of the same names."""

from bridge.cli import tools
from bridge.cli.main import main

__all__ = ["main", "tools"]
