"""What the common toolkits share: who stands behind an address, words of a query, ids in a text, attached files.

No app, no state and no tools of its own; every function is pure over what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

from impress_env.clock import iso, resolve
from impress_env.effects import Audience
from impress_env.errors import ToolError
from impress_env.tool import Slice
from impress_env.world.filesystem import File
from impress_env.world.people import Person

CHUNK: Final = 8_000  # characters of running text in one result, well below the cap after JSON escapes
QUERY_CAP: Final = 300
ATTACHMENTS_CAP: Final = 20
ME: Final = "me"  # how scenario files write the agent itself, whose account they need not know

_ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
_ANGLE = re.compile(r"[^<>]*<([^<>]+)>")
_REFERENCE = re.compile(
    r"(?<![\w/.-])(?:"
    r"[A-Z][A-Z0-9]{0,7}(?:-[A-Z0-9]{1,8}){0,2}-(?=[A-Z]{0,4}\d)\w+"  # CHG-20418, K8S-ANN-02, INV-A204
    r"|[a-z]{2,4}-(?=[a-z]*\d)[0-9a-f]{6,}"  # ev-7c1190
    r"|\d+\.\d+\.\d+(?!\.?\d)"  # 4.2.0
    r")(?![\w-])"
)
_TERM = re.compile(r'(-?)(?:"([^"]*)"|([^\s"]+))')


class Contacts:
    """The directory as one call sees it: who stands behind an id, an address or a name, and who is outside.

    Args:
        at: The slice of the call.
        address: The agent's own mail address; by default its account at the organisation's commonest domain.
        domains: Domains of the organisation beside those of the people who are not external.
    """

    __slots__ = ("_home", "_people", "_words", "account", "address")

    def __init__(self, at: Slice, *, address: str = "", domains: Sequence[str] = ()) -> None:
        self.account = at.account
        self._people = {person.id: person for person in at.table(Person).values()}
        self._words: dict[str, Person] = {}
        counted: dict[str, int] = {}
        for person in self._people.values():
            for word in (person.name, person.email):
                if word:
                    self._words.setdefault(word.lower(), person)
            if person.email and not person.external:
                domain = _domain(person.email)
                counted[domain] = counted.get(domain, 0) + 1
        commonest = max(counted, key=lambda name: counted[name], default="org")
        self.address = address.lower() or f"{self.account}@{commonest}"
        self._home = frozenset((*counted, _domain(self.address), *(domain.lower() for domain in domains)))

    def own(self, who: str) -> bool:
        """Return whether the text names the account that acts."""
        return _word(who) in (ME, self.account.lower(), self.address)

    def find(self, who: str) -> Person | None:
        """Return the person behind an id, an address, a name or "Name <address>"."""
        word = _word(who)
        return self._people.get(word) or self._people.get(who.strip()) or self._words.get(word)

    def resolve(self, who: str) -> str:
        """Return a person's id, the own account, or an address in lower case.

        Raises:
            ToolError: `not_found`: neither of these.
        """
        if self.own(who):
            return self.account
        person = self.find(who)
        if person is not None:
            return person.id
        word = _word(who)
        if _ADDRESS.fullmatch(word):
            return word
        raise ToolError("not_found", f"No such person or address: {who[:80]}", offer=self.near(word))

    def person(self, who: str) -> Person:
        """Return a person of the directory.

        Raises:
            ToolError: `not_found`, with the people whose names come near.
        """
        found = self.find(who)
        if found is None:
            raise ToolError("not_found", f"No such person: {who[:80]}", offer=self.near(_word(who)))
        return found

    def near(self, word: str) -> list[str]:
        """Return the ids of people whose id, name or address holds a part of the word; else all ids."""
        parts = [part for part in re.split(r"[\s.@_-]+", word.lower()) if len(part) > 2]
        found = [
            person.id
            for person in self._people.values()
            if any(part in f"{person.id} {person.name} {person.email}".lower() for part in parts)
        ]
        return found or list(self._people)

    def shown(self, who: str) -> str:
        """Return a party as mail headers show it: "Name <address>" where known, else as written."""
        if self.own(who):
            return self.address
        person = self.find(who)
        return f"{person.name} <{person.email}>" if person is not None and person.email else who

    def name(self, who: str) -> str:
        """Return a person's id, the own account for "me", or the text as written."""
        if self.own(who):
            return self.account
        person = self.find(who)
        return person.id if person is not None else who

    def outside(self, who: str) -> bool:
        """Return whether a resolved party stands outside the organisation."""
        if self.own(who):
            return False
        person = self.find(who)
        if person is not None:
            return person.external
        if "@" not in who:
            return False
        domain = _domain(who)
        return not any(domain == home or domain.endswith("." + home) for home in sorted(self._home))

    def audience(self, parties: Iterable[str]) -> Audience:
        """Return the widest circle that resolved parties stand for.

        "team" needs the acting account itself in the directory, with a team that all the others share.
        """
        others = [party for party in parties if not self.own(party)]
        if any(self.outside(party) for party in others):
            return "external"
        if not others:
            return "self"
        me = self._people.get(self.account)
        if me is not None and me.team:
            found = [self.find(party) for party in others]
            if all(person is not None and person.team == me.team for person in found):
                return "team"
        return "org"


class Query:
    """The words of a search: words and "quoted phrases", all lower-case; `-word` leaves out what holds it."""

    __slots__ = ("_patterns", "terms", "without")

    def __init__(self, text: str) -> None:
        if len(text) > QUERY_CAP:
            raise ToolError("too_large", "The query is too long.", expected=f"at most {QUERY_CAP} characters")
        terms: dict[str, None] = {}
        without: dict[str, None] = {}
        for minus, phrase, word in _TERM.findall(text.lower()):
            term = " ".join((phrase or word.strip(".,;:!?()")).split())
            if term:
                (without if minus else terms)[term] = None
        self.terms, self.without = tuple(terms), tuple(without)
        self._patterns = tuple(
            re.compile(("(?<!\\w)" if term[0].isalnum() else "") + r"\s+".join(map(re.escape, term.split())))
            for term in self.terms
        )

    def all_in(self, text: str) -> bool:
        """Return whether a text holds every word and none of those to leave out. No words match everything."""
        low = " ".join(text.lower().split())
        return all(term in low for term in self.terms) and not any(term in low for term in self.without)

    def score(self, title: str, body: str) -> tuple[int, int]:
        """Return (how many of the words occur at a word's start, their weighted frequency).

        A word counts at most ten times in the body, and at most twice in the title, each time for five.
        """
        head, low = title.lower(), body.lower()
        if any(term in head or term in low for term in self.without):
            return (0, 0)
        distinct = weight = 0
        for term, pattern in zip(self.terms, self._patterns, strict=True):
            first = term.partition(" ")[0]  # `in` is far cheaper than the pattern, and most texts hold no word
            in_title = _count(pattern, head, 2) if first in head else 0
            in_body = _count(pattern, low, 10) if first in low else 0
            if in_title or in_body:
                distinct += 1
                weight += 5 * in_title + in_body
        return (distinct, weight)

    def excerpt(self, text: str, width: int = 160) -> str:
        """Return the piece of a text around the first word found, on one line, cut off mid-word."""
        flat = " ".join(text.split())
        low = flat.lower()
        places = [found.start() for pattern in self._patterns if (found := pattern.search(low))]
        first = min(places, default=0) if len(low) == len(flat) else 0
        start = max(0, first - width // 4)
        piece = flat[start : start + width]
        return f"{'…' if start else ''}{piece}{'…' if start + width < len(flat) else ''}"


def references(*texts: str) -> tuple[str, ...]:
    """Return the record ids named in texts (CHG-20418, ev-7c1190, 4.2.0), sorted."""
    return merged(_REFERENCE.findall("\n".join(texts)))


def about(given: str, *texts: str) -> str:
    """Return what a message is about: as given, else the only record id in the first text that names any."""
    if given.strip():
        return given.strip()
    for text in texts:
        found = references(text)
        if found:
            return found[0] if len(found) == 1 else ""
    return ""


def merged(*names: Iterable[str]) -> tuple[str, ...]:
    """Return all the names, each once, sorted."""
    return tuple(sorted({name for part in names for name in part if name}))


def cut_line(text: str, width: int) -> str:
    """Return a text on one line, cut off at a width."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def cut_text(text: str, width: int) -> str:
    """Return a text, cut off at a width and marked with its length."""
    return text if len(text) <= width else f"{text[:width]}… [{len(text)} characters]"


def chunk(text: str, offset: int, size: int = CHUNK) -> str:
    """Return the piece of a text from an offset that fits one result, JSON escapes included."""
    piece = text[offset : offset + size]
    while len(piece) > 1 and len(msgspec.json.encode(piece).decode()) > size + size // 4:
        piece = piece[: len(piece) // 2]
    return piece


def moment(at: Slice, text: str, name: str) -> str:
    """Return the ISO form of a time given in a call: "2026-11-19", "2026-11-19T14:23" or "-3d 14:12".

    Raises:
        ToolError: `invalid_arguments`.
    """
    try:
        return iso(resolve(text, at.clock))
    except (ValueError, OverflowError):
        raise ToolError(
            "invalid_arguments", f"{name} is not a time.", expected="2026-11-19 or 2026-11-19T14:23", found=text[:40]
        ) from None


def readable(file: File, account: str) -> bool:
    """Return whether an account may read a file: the first digit of the mode for owners, else the last."""
    digit = file.mode[:1] if file.owner in (account, "shared") else file.mode[-1:]
    return digit in ("4", "5", "6", "7")


def readable_file(at: Slice, path: str) -> File:
    """Return a file.

    Raises:
        ToolError: `not_found`, or `forbidden` where its mode forbids it.
    """
    file = at.files.get(path)
    if not readable(file, at.account):
        raise ToolError("forbidden", f"{file.path}: permission denied (owner {file.owner}, mode {file.mode}).")
    return file


def attached(at: Slice, paths: Sequence[str]) -> tuple[File, ...]:
    """Return the files that a message carries, each once, in the order given.

    Raises:
        ToolError: `not_found`, `forbidden`, or `too_large` over 20 files.
    """
    if len(paths) > ATTACHMENTS_CAP:
        raise ToolError(
            "too_large", "Too many attachments.", expected=f"at most {ATTACHMENTS_CAP}", found=str(len(paths))
        )
    return tuple({file.path: file for file in (readable_file(at, path) for path in paths)}.values())


def file_uri(path: str) -> str:
    """Return the uri of a file."""
    return f"files://{path}"


def _count(pattern: re.Pattern[str], text: str, most: int) -> int:
    return sum(1 for _ in islice(pattern.finditer(text), most))


def _word(who: str) -> str:
    found = _ANGLE.fullmatch(who.strip())
    return (found[1] if found else who).strip().removeprefix("@").lower()


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()
