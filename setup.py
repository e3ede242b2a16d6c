"""The list of packages, found by looking: the rest of the configuration is in pyproject.toml.

The folders ir/, exporters/ and importers/ are installed inside the package bridge. The links bridge/ir and so on must not be
followed here: a module would be packed twice, and a checkout without symbolic links would pack none.
"""

from setuptools import find_packages, setup

MAPPED = ("exporters", "importers", "ir")

packages = find_packages(
    include=["bridge", "bridge.*"], exclude=[f"bridge.{name}{tail}" for name in MAPPED for tail in ("", ".*")]
)
for name in MAPPED:
    packages += [f"bridge.{name}", *(f"bridge.{name}.{inner}" for inner in find_packages(name))]

setup(packages=packages)
