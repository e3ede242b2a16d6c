"""TorchScript archives (``.pt``) to the intermediate representation. Reading parses and never executes."""

from bridge.importers.torchscript.errors import ArchiveError
from bridge.importers.torchscript.load import Archive, read_archive

__all__ = ["Archive", "ArchiveError", "read_archive"]
