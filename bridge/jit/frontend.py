"""The errors of reading a program, under the name that programs import them by."""

from bridge.importers.script import FrontendError, NotSupportedError

__all__ = ["FrontendError", "NotSupportedError"]
