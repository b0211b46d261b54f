"""What a terminal of 80 columns shows."""

from __future__ import annotations

import io

from rich.console import Console

from flows.commands.shared import table


def test_numbers_dates_and_amounts_are_never_cut_in_two() -> None:
    console = Console(file=io.StringIO(), width=80)
    heads = [("Contract", "left"), ("Customer", "left"), ("Amount", "right"), ("Ready on", "left")]
    row = ("HT-2026-018", "A customer with a very long name indeed, " * 4, "CNY 1288888.88", "2026-11-20")
    table("Ready", heads, [row], console)
    shown = console.file.getvalue()
    for code in ("HT-2026-018", "CNY 1288888.88", "2026-11-20"):
        assert code in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
