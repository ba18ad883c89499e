"""`impress rules`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from impress_env.cli.output import print_json, wide_console
from impress_env.monitors.rules import PACK, failing, mutants, read_rule, survivors


def check_rules(files: Sequence[Path], *, json: bool) -> None:
    """Print every rule with what its tests say; exit 1 where one fails."""
    rows = []
    for path in files or sorted(PACK.glob("*.yaml")):
        spec, _ = read_rule(path)
        wrong = failing(spec)
        rows.append(
            {
                "rule": spec.id,
                "version": spec.version,
                "group": spec.group,
                "category": spec.category,
                "severity": spec.severity,
                "status": spec.status,
                "asks": spec.asks,
                "tests": len(spec.tests),
                "failing": wrong,
                "clauses": sum(1 for _ in mutants(spec)),
                "unnoticed": [] if wrong else survivors(spec),
            }
        )
    if json:
        print_json(rows)
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("rule", "group", "category", "severity", "status", "asks", "tests", "clauses"):
            table.add_column(name)
        for row in rows:
            failed, left = row["failing"], row["unnoticed"]
            told = f"{row['tests']}" + (f", failing: {', '.join(failed)}" if failed else "")  # type: ignore[arg-type]
            lost = f"{row['clauses']}" + (f", unnoticed: {', '.join(left)}" if left else "")  # type: ignore[arg-type]
            table.add_row(
                *(str(row[name]) for name in ("rule", "group", "category", "severity", "status", "asks")), told, lost
            )
        wide_console().print(table)
    if any(row["failing"] for row in rows):
        raise SystemExit(1)
