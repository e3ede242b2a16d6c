"""The intermediate representation to TorchScript archives (``.pt``), as ``torch.jit.load`` reads them."""

from bridge.exporters.torchscript.archive import function_object, write_archive
from bridge.exporters.torchscript.container import archive_name

__all__ = ["archive_name", "function_object", "write_archive"]
