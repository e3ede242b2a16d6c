"""``python -m bridge.cli``: the command without its script."""

from bridge.cli.main import main

if __name__ == "__main__":
    main(prog_name="bridge")
