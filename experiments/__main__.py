"""Every experiment and its question: ``python -m experiments``."""

import ast
from pathlib import Path

from rich.console import Console
from rich.table import Table


def questions() -> dict[str, str]:
    """The modules that are commands, and the first line of what each says of itself."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "cli.main(" in text and path.name != "__main__.py":
            found[path.stem] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


if __name__ == "__main__":
    table = Table("python -m ...", "question", box=None, pad_edge=False)
    for name, question in questions().items():
        table.add_row(f"experiments.{name}", question)
    Console().print(table)
