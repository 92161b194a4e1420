"""The README's examples run, as they stand, against the real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from serving import Server

README = Path(__file__).parent.parent.joinpath("README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int, server: Server, tmp_path: Path) -> None:
    environment = {**os.environ, "REALM_BASE_URL": server.url, "REALM_API_KEY": "rlm_key_of_the_free_tenant"}
    command = [sys.executable, "-W", "error", "-c", EXAMPLES[number]]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip(), "an example shows something"


def test_there_are_examples_and_each_error_is_named() -> None:
    import realm  # noqa: PLC0415 (only here)

    assert len(EXAMPLES) >= 5
    errors = {name for name in realm.__all__ if name.endswith("Error")}
    assert {name for name in errors if f"`{name}`" not in README} == set()
