"""Helpers that several test files share; imported as `from support.… import …`."""
