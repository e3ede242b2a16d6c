"""IR → Python source, byte for byte what torch prints as ``.code`` and writes into archives."""

from bridge.exporters.python.source_printer import SourcePrinter, print_function

__all__ = ["SourcePrinter", "print_function"]
