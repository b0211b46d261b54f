"""`huikuan connectors new NAME`: a connector of a package of its own, its fake, and a test that is red at once.

The files say in place what to fill in; `docs/adding-a-connector.md` takes an engineer through them.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")


class BadName(ValueError):
    """A name that cannot be a Python package."""


def scaffold(name: str, folder: Path) -> list[Path]:
    """Write the package into `folder`/huikuan-NAME. Raises BadName, or FileExistsError rather than overwrite."""
    if not NAME.fullmatch(name):
        raise BadName(name)
    root = folder / f"huikuan-{name}"
    if root.exists():
        raise FileExistsError(17, "exists already", str(root))
    written = []
    for source, target in (
        ("pyproject.toml.txt", "pyproject.toml"),
        ("connector.py.txt", f"huikuan_{name}/__init__.py"),
        ("fake.py.txt", f"huikuan_{name}/fake.py"),
        ("test.py.txt", f"tests/test_{name}.py"),
    ):
        text = resources.files(__name__).joinpath(source).read_text(encoding="utf-8")
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            text.replace("@NAME@", name).replace("@CLASS@", name.title().replace("_", "")), encoding="utf-8"
        )
        written.append(path)
    return written
