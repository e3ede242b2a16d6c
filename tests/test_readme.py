"""What README shows is what happens: its Python examples run, and print what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_prints_what_readme_says(number: int, tmp_path: Path) -> None:
    """An example is a ``python`` block, which may go on where an earlier one ended, and a ``text`` block with what it prints."""
    code, shown = EXAMPLES[number]
    before = "".join(f"{earlier}\n" for earlier, _ in EXAMPLES[:number])
    # A file, because scripting reads the source.
    program = tmp_path / "example.py"
    program.write_text(f"{before}\nprint('--- here')\n{code}", encoding="utf-8")
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    if shown:
        assert done.stdout.partition("--- here\n")[2].rstrip() == shown.rstrip()
