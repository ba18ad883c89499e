"""Which forbidden modules does `import impress_env` ask for? Prints them as a JSON list.

A process of its own, with nothing loaded before but the standard library: the names are the arguments. What a
guarded import asks for and does not find is noted too, since elsewhere it may be installed.
"""

from __future__ import annotations

import json
import sys


class Watch:
    """A finder that finds nothing and notes who was asked for."""

    def __init__(self, names: list[str]) -> None:
        self.names = frozenset(names)
        self.asked: list[str] = []

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in self.names and name not in self.asked:
            self.asked.append(name)


if __name__ == "__main__":
    watch = Watch(sys.argv[1:])
    sys.meta_path.insert(0, watch)
    import impress_env
    import impress_env.env  # noqa: F401 - the import is what is looked at

    print(json.dumps(watch.asked))
