"""The wheel: what is in it, and that it works and is typed where nothing else of this repository is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import realm

if TYPE_CHECKING:
    from serving import Server

PACKAGE = Path(__file__).parent.parent
WORKS = """
import sys, realm
assert "site-packages" in realm.__file__, realm.__file__
with realm.Realm(sys.argv[1]) as client:
    print(client.completions.create(prompt="The capital of France is", max_tokens=4, temperature=0).text.split())
    with client.completions.stream(prompt="One two three", max_tokens=3) as stream:
        print(sum(1 for token in stream if token.text))
    try:
        client.openai()
    except realm.ConfigError as error:
        print(error)
"""
TYPED = """
from realm import AsyncRealm, Realm

client = Realm()
text: str = client.completions.create(prompt="a", max_tokens=4).text
for token in client.chat.stream(messages=[{"role": "user", "content": "a"}]):
    text = token.text
async def answer() -> str:
    async with AsyncRealm() as client, client.completions.stream(prompt="a") as stream:
        async for token in stream:
            print(token.text)
    return stream.text
client.completions.create(prompt="a", max_token=4)
client.completions.create()
client.completions.create(prompt=5)
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)


def check(*command: str | Path, cwd: Path) -> str:
    ended = run(*command, cwd=cwd)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    check(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", folder, PACKAGE),
        cwd=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment that has the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("clean")
    check(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    check(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel, cwd=folder)
    return python


def test_what_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name == f"realm-{realm.__version__}-py3-none-any.whl"
    modules = {f"realm/{path.name}" for path in (PACKAGE / "src/realm").iterdir() if path.is_file()}
    info = f"realm-{realm.__version__}.dist-info"
    assert {name for name in names if not name.startswith(info)} == modules
    assert {f"{info}/licenses/LICENSE", f"{info}/METADATA"} <= set(names)
    assert "realm/py.typed" in modules


def test_it_works_alone(python: Path, server: Server, tmp_path: Path) -> None:
    text, tokens, error = check(python, "-c", WORKS, server.url, cwd=tmp_path).strip().splitlines()
    assert "Paris" in text
    assert tokens == "3"
    assert "pip install 'realm[openai]'" in error


def test_it_is_typed_for_its_users(python: Path, tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TYPED)
    arguments = ("--strict", "--no-incremental", "--python-executable", python, "use.py")
    found = run(sys.executable, "-m", "mypy", *arguments, cwd=tmp_path).stdout
    wrong = [line for line in found.splitlines() if "error:" in line]
    assert [int(line.split(":")[1]) for line in wrong] == [13, 14, 15], found
    assert all(word in found for word in ("max_token", '"prompt"', "[arg-type]")), found
