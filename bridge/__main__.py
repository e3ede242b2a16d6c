"""``python -m bridge``: the command without its script."""

from bridge.cli.main import main

main(prog_name="bridge")
