"""A bank small enough to know by heart."""

from __future__ import annotations

from pathlib import Path

from impress_env.scenario.bank import Bank

FIRST = [
    f"{name}a" for name in ("Ad", "Be", "Ci", "Do", "El", "Fi", "Gr", "Ho", "In", "Jo", "Ka", "Li", "Mi", "No", "Øl")
]
LAST = [
    f"{name}son" for name in ("An", "Ben", "Col", "Dan", "Ed", "Fer", "Gib", "Hen", "Iv", "Jack", "Ken", "Law", "Mat")
]


def small_bank(folder: Path) -> Bank:
    """Write the bank under a package folder and return it."""
    files = {
        "names": f"format: 1\nfirst: [{', '.join(FIRST)}]\nlast: [{', '.join(LAST)}]\n",
        "organisations": "format: 1\nkinds:\n  mill:\n    heads: [North Weir]\n    tails: [Mill Works]\n",
        "ids": "format: 1\nbirds: [avocet, bittern, coot]\nmetals: [tin]\nremark: not a list\n",
        "filler/finance": (
            "format: 1\ndomain: finance\npieces:\n  notes:\n"
            "    - {text: 'one {{ a.id }} {{ n1 }} {{ d1 }}', at: '-3d {{ t1 }}'}\n"
            "    - {text: 'two {{ b.name }} {{ big1 }}'}\n"
            "  cases:\n"
            "    - {id: 'C-{{ n1 }}', owner: '{{ a.id }}'}\n"
            "    - {id: 'C-{{ n2 }}', owner: '{{ b.id }}'}\n"
        ),
        "filler/common": "format: 1\ndomain: common\npieces:\n  notes:\n    - {text: 'three {{ org.short }}'}\n",
    }
    for name, text in files.items():
        path = folder / "banks" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Bank(folder)
