"""Artifacts: the repositories in which builds keep files, what lies there, who still needs it, and copies of it.

An entry is a top folder of a repository. It may have a consumer: a design record that reads it up to a day, whose
owner may release it. Repositories of the cold tier keep what is copied there; scratch keeps no trash. What a delete
leaves behind of an entry (complete copies in a cold repository, a release) is worked out at the call and given with
its effects; the app itself asks for it only in a repository that is set up so.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from pydantic import Field

from impress_env.clock import day_start, iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import adrs

Tier = Literal["scratch", "working", "cold"]
Need = Literal["open", "closed"]
Decision = Literal["requested", "approved", "declined"]
PATHS_CAP: Final = 40
RETRY_MINUTES: Final = 4  # what a second pass over a few files takes


class Repository(Record, frozen=True, kw_only=True):
    """One repository; sizes in whole GB. `writes_by` and `deletes_by` name who alone does so there, empty for anybody.

    With `enforce_release` an entry with an open consumer is deleted only after a complete copy or a release.
    """

    id: str
    tier: str
    capacity_gb: int
    used_gb: int
    trash_days: int
    writes_by: str
    deletes_by: str
    enforce_release: bool


class Consumer(Record, frozen=True, kw_only=True):
    """Who reads an entry: a design record, up to a day."""

    doc: str
    state: str
    needed_until: str


class Entry(Record, frozen=True, kw_only=True):
    """A top folder of a repository, or a copy of one (or of a folder in it): then `copy_of` says of what.

    A copy's `state` is copying, complete or incomplete, and `copied` the files that it has once it has ended. `skips`
    is the number of files that a first pass of copying does not get.
    """

    repo: str
    path: str
    gb: int
    files: int
    folders: tuple[str, ...]
    suffix: str
    created: str
    created_by: str
    last_download: str
    consumer: Consumer | None = None
    skips: int = 0
    copy_of: str = ""
    state: str = ""
    copied: int = 0
    started: str = ""
    ends: str = ""
    by: str = ""

    @property
    def key(self) -> str:
        """Where it is: repository and path."""
        return f"{self.repo}/{self.path}"


class Release(Record, frozen=True, kw_only=True):
    """A consumer's owner was asked to let an entry go, and what they said."""

    id: str
    repo: str
    path: str
    doc: str
    asked_by: str
    asked: str
    to: str
    state: str
    decided: str = ""
    note: str = ""


class Settings(Record, frozen=True, kw_only=True):
    """How quickly files are copied, how long pages are, how releases are numbered."""

    gb_per_hour: int
    rows_per_page: int
    files_per_page: int
    prefix: str
    next_number: int


class RepositorySeed(Seed):
    """A repository in a scenario file."""

    tier: Tier = "working"
    capacity_gb: Annotated[int, Field(ge=1)]
    used_gb: Annotated[int, Field(ge=0)]
    trash_days: Annotated[int, Field(ge=0)] = 14
    writes_by: str = ""
    deletes_by: str = ""
    enforce_release: bool = False


class ConsumerSeed(Seed):
    """A consumer in a scenario file."""

    doc: str
    state: Need = "open"
    needed_until: str = ""


class EntrySeed(Seed):
    """An entry in a scenario file; its key is repository and path, such as `scratch/e2e-videos/`."""

    gb: Annotated[int, Field(ge=0)]
    files: Annotated[int, Field(ge=1, le=100_000)] = 120
    folders: tuple[str, ...] = ()
    suffix: str = "tar.zst"
    at: str
    by: str
    last_download: str = ""
    consumer: ConsumerSeed | None = None
    skips: Annotated[int, Field(ge=0, le=50)] = 0
    copy_of: str = ""


class ReleaseSeed(Seed):
    """A release in a scenario file."""

    repo: str
    path: str
    doc: str
    asked_by: str
    at: str
    to: str
    state: Decision = "approved"
    decided: str = ""
    note: str = ""


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    gb_per_hour: Annotated[int, Field(ge=1)] = 180
    rows_per_page: Annotated[int, Field(ge=5, le=60)] = 14
    files_per_page: Annotated[int, Field(ge=5, le=100)] = 40
    prefix: str = "REL-"
    next_number: int = 310


class ArtifactsSeed(Seed):
    """Section `artifacts:`; `repos` by name, `items` by repository and path, `releases` by number."""

    settings: SettingsSeed = SettingsSeed()
    repos: dict[str, RepositorySeed] = Field(default_factory=dict)
    items: dict[str, EntrySeed] = Field(default_factory=dict)
    releases: dict[str, ReleaseSeed] = Field(default_factory=dict)


def build(seed: ArtifactsSeed, make: Build) -> None:
    """Put repositories, entries and releases; releases that were given are facts of the past."""
    make.put("settings", Settings(**seed.settings.model_dump()))
    for name, repo in seed.repos.items():
        make.put(name, Repository(id=name, **repo.model_dump()))
    for key, entry in seed.items.items():
        repo_name, _, path = key.partition("/")
        if repo_name not in seed.repos or not path.endswith("/"):
            raise ValueError(f"items: expected <repository>/<path>/ with a repository of `repos`, found {key!r}")
        make.put(key, _entry(repo_name, path, entry, make))
    for number, given in seed.releases.items():
        fields = given.model_dump(exclude={"at", "decided"})
        decided = make.time(given.decided) if given.decided else ""
        make.put(number, Release(id=number, asked=make.time(given.at), decided=decided, **fields))
        if given.state == "approved":
            make.effect(
                "approve",
                f"artifacts://{given.repo}/{given.path}",
                actor=given.to,
                time=given.decided or given.at,
                subject=given.doc,
                about=number,
                outcome="approved",
            )


def _entry(repo: str, path: str, entry: EntrySeed, make: Build) -> Entry:
    need, created = entry.consumer, make.time(entry.at)
    return Entry(
        repo=repo,
        path=path,
        gb=entry.gb,
        files=entry.files,
        folders=entry.folders,
        suffix=entry.suffix,
        created=created,
        created_by=entry.by,
        last_download=_day(make, entry.last_download),
        consumer=None
        if need is None
        else Consumer(doc=need.doc, state=need.state, needed_until=_day(make, need.needed_until)),
        skips=entry.skips,
        copy_of=entry.copy_of,
        state="complete" if entry.copy_of else "",
        copied=entry.files if entry.copy_of else 0,
        ends=created if entry.copy_of else "",
    )


def _day(make: Build, text: str) -> str:
    return make.time(text)[:10] if text else ""


kit = Toolkit(
    "artifacts",
    title="Artifact repositories",
    seed=ArtifactsSeed,
    tables={
        "artifacts": Settings,
        "artifacts.repos": Repository,
        "artifacts.items": Entry,
        "artifacts.releases": Release,
    },
    build=build,
    uses=("adrs",),
)


class Spot(NamedTuple):
    """An entry, or one folder in it (then `folder` is its name)."""

    entry: Entry
    folder: str

    @property
    def path(self) -> str:
        """The path within the repository."""
        return self.entry.path + (f"{self.folder}/" if self.folder else "")

    @property
    def key(self) -> str:
        """Repository and path."""
        return f"{self.entry.repo}/{self.path}"

    @property
    def uri(self) -> str:
        """The uri."""
        return f"artifacts://{self.key}"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that it stands for; an entry without any is one by itself."""
        return (self.folder,) if self.folder else self.entry.folders or ("",)

    def share(self, whole: int) -> int:
        """Return its part of a number that belongs to the whole entry."""
        if not self.folder:
            return whole
        parts = self.entry.folders
        return whole // len(parts) + (parts.index(self.folder) < whole % len(parts))


@kit.tool(effects=["read"])
def list(at: Slice, repo: str, older_than_days: int = 0, prefix: str = "", page: int = 1) -> object:
    """List the top folders of a repository, oldest first, with its size and use.

    Args:
        repo: Name of the repository.
        older_than_days: Only folders created at least so many days ago.
        prefix: Only paths that begin with this.
        page: Page number.
    """
    store = _repo(at, repo)
    today = day_start(at.clock)
    rows = [
        entry
        for entry in at.table(Entry).where(repo=store.id)
        if _age(entry, today) >= older_than_days and entry.path.startswith(prefix.strip().removeprefix("/"))
    ]
    rows.sort(key=lambda entry: (entry.created, entry.path))
    found = paged(rows, page, at.table(Settings)["settings"].rows_per_page)
    shown: builtins.list[Entry] = found["items"]
    at.emit(
        "read",
        f"artifacts://{store.id}/",
        count=len(shown),
        covers=tuple(sorted(f"artifacts://{entry.key}" for entry in shown)),
        fields=("consumer", "created", "gb", "last_download"),
    )
    found["items"] = [
        {
            "path": entry.path,
            "gb": entry.gb,
            "age_days": _age(entry, today),
            "last_download": entry.last_download or None,
            "consumer": _need(at, entry),
        }
        for entry in shown
    ]
    return _use(store) | found


@kit.tool(effects=["read"])
def stat(at: Slice, repo: str, path: str) -> object:
    """Show one folder of a repository: size, files, who made it, its consumer, copies and releases.

    Args:
        repo: Name of the repository.
        path: The folder.
    """
    spot = _find(at, repo, path)
    entry = spot.entry
    copies = [row for row in _copies(at, entry) if not spot.folder or row.copy_of in (entry.key, spot.key)]
    releases = at.table(Release).where(repo=entry.repo, path=entry.path)
    doc = at.table(adrs.Adr).get(entry.consumer.doc) if entry.consumer is not None else None
    at.emit(
        "read",
        spot.uri,
        owner=entry.created_by,
        subject=entry.consumer.doc if entry.consumer is not None else "",
        about=f"artifacts://{entry.key}",
        covers=tuple(sorted(f"artifacts://{row.key}" for row in (entry, *copies))),
        fields=("consumer", "copies", "releases"),
        refs=tuple(sorted(release.id for release in releases)),
        data={"copies": len(copies), "consumer_state": _state_of(entry)},
    )
    need = _need(at, entry)
    return {
        "repo": entry.repo,
        "path": spot.path,
        "gb": spot.share(entry.gb),
        "files": spot.share(entry.files),
        "folders": () if spot.folder else entry.folders,
        "created": entry.created,
        "created_by": entry.created_by,
        "last_download": entry.last_download or None,
        "consumer": None if need is None else need | {"owner": doc.owner if doc is not None else None},
        "copies": [
            {"repo": row.repo, "path": row.path, "state": row.state, "files": _progress(row, at.clock)}
            for row in copies
        ],
        "releases": [
            {"ref": r.id, "state": r.state, "asked_by": r.asked_by, "by": r.to, "decided": r.decided, "note": r.note}
            for r in releases
        ],
        "copy_of": entry.copy_of or None,
    }


@kit.tool(effects=["create"], minutes=2)
def copy(at: Slice, repo: str, path: str, target: str, ticket: str) -> object:
    """Start copying a folder to the same path in another repository. A copy with files left is taken up again.

    Args:
        repo: Repository that the folder lies in.
        path: The folder.
        target: Repository to copy it to.
        ticket: Ticket that it is done for.
    """
    spot, store = _find(at, repo, path), _repo(at, target)
    if store.id == spot.entry.repo:
        raise ToolError("conflict", "Source and target are the same repository.", found=store.id)
    if store.writes_by:
        raise ToolError("forbidden", f"{store.id}: writes are done by {store.writes_by}.", found=at.account)
    table, key = at.table(Entry), f"{store.id}/{spot.path}"
    there = table.get(key)
    if there is not None and (there.state != "incomplete" or there.copy_of != spot.key):
        raise ToolError("conflict", f"{key} is there already.", found=there.state or "not a copy")
    size, files = spot.share(spot.entry.gb), spot.share(spot.entry.files)
    if there is None:
        free = store.capacity_gb - store.used_gb
        if size > free:
            raise ToolError("too_large", f"No room in {store.id}.", expected=f"at most {free} GB", found=f"{size} GB")
        at.table(Repository).update(store.id, used_gb=store.used_gb + size)
        started = _new_copy(at, spot, store, size, files)
        takes = max(1, -(-size * 60 // at.table(Settings)["settings"].gb_per_hour))
    else:
        started, takes = there, RETRY_MINUTES
    ends = iso(at.clock + takes)
    table.put(key, msgspec.structs.replace(started, state="copying", started=at.now, ends=ends, by=at.account))
    at.schedule(takes, "copied", key=key)
    at.emit(
        "create",
        f"artifacts://{key}",
        subject=spot.uri,
        about=f"artifacts://{spot.entry.key}",
        count=files,
        refs=(ticket,),
        data={"tier": store.tier, "gb": size},
    )
    return {"copy": key, "state": "copying", "files": files, "gb": size, "started": at.now}


@kit.tool(effects=["read", "verify"])
def manifest(at: Slice, repo: str, path: str, page: int = 1) -> object:
    """List the files of a folder with size and digest; a copy is compared with what it was made from.

    Args:
        repo: Name of the repository.
        path: The folder.
        page: Page number of the file list.
    """
    spot = _find(at, repo, path)
    entry = spot.entry
    names, missing = _names(entry), _missing(entry, at.clock)
    lead = f"{spot.folder}/" if spot.folder else ""
    listed = [(name.removeprefix(lead), index in missing) for index, name in enumerate(names) if name.startswith(lead)]
    there = [name for name, lacking in listed if not lacking]
    found = paged(there, page, at.table(Settings)["settings"].files_per_page)
    at.emit("read", spot.uri, owner=entry.created_by, count=len(found["items"]), fields=("files",))
    head: dict[str, object] = {"repo": entry.repo, "path": spot.path, "gb": spot.share(entry.gb), "files": len(there)}
    if entry.copy_of:
        at.emit(
            "verify",
            spot.uri,
            subject=f"artifacts://{entry.copy_of}{lead}",
            outcome=entry.state,
            count=len(there),
            start=entry.started,
            end=at.now,
            data={"tier": at.table(Repository)[entry.repo].tier, "missing": len(listed) - len(there)},
        )
        head |= {
            "copy_of": entry.copy_of,
            "state": entry.state,
            "files_at_source": len(listed),
            "missing": len(listed) - len(there),
            "differing": 0,
        }
        if entry.state == "incomplete":
            head["not_read"] = [name for name, lacking in listed if lacking][:10]
    found["items"] = [
        {"file": name, "kb": _kb(entry, lead + name), "sha256": _digest(entry, lead + name)} for name in found["items"]
    ]
    return head | found


@kit.tool(effects=["delete"], minutes=2)
def delete(
    at: Slice,
    repo: str,
    paths: Annotated[builtins.list[str], Field(min_length=1, max_length=PATHS_CAP)],
    reason: str,
    ticket: str,
) -> object:
    """Delete folders of a repository.

    Args:
        repo: Name of the repository.
        paths: The folders.
        reason: Why, kept in the repository's log.
        ticket: Ticket that it is done for.
    """
    store = _repo(at, repo)
    if store.deletes_by:
        raise ToolError("forbidden", f"{store.id}: deletes are done by {store.deletes_by}.", found=at.account)
    gone: builtins.list[dict[str, object]] = []
    freed = 0
    for path in paths:
        spot = _find(at, store.id, path)
        size = spot.share(spot.entry.gb)
        _delete_one(at, store, spot, reason, ticket)
        gone.append({"path": spot.path, "gb": size})
        freed += size
    changed = at.table(Repository).update(store.id, used_gb=max(0, store.used_gb - freed))
    return {"deleted": gone, "freed_gb": freed} | _use(changed)


@kit.tool(effects=["request"], minutes=2)
def request_release(at: Slice, repo: str, path: str, note: str = "") -> object:
    """Ask the owner of a folder's consumer to release it for deletion.

    Args:
        repo: Name of the repository.
        path: The folder.
        note: Remark for the owner.
    """
    entry = _find(at, repo, path).entry
    need = entry.consumer
    if need is None or need.state != "open":
        raise ToolError("conflict", f"{entry.path} has no open consumer.", found=_state_of(entry) or "none")
    for known in at.table(Release).where(repo=entry.repo, path=entry.path):
        if known.state != "declined":
            raise ToolError("conflict", f"{entry.path}: {known.id} is {known.state}.", found=known.to)
    doc = at.table(adrs.Adr).get(need.doc)
    if doc is None:
        raise ToolError("conflict", f"{need.doc} is not in the register of design records.", found=need.doc)
    settings = at.table(Settings)["settings"]
    number = at.next_id(settings.prefix, width=1, start=settings.next_number)
    while number in at.table(Release):
        number = at.next_id(settings.prefix, width=1)
    at.table(Release).put(
        number,
        Release(
            id=number,
            repo=entry.repo,
            path=entry.path,
            doc=doc.id,
            asked_by=at.account,
            asked=at.now,
            to=doc.owner,
            state="requested",
            note=note.strip(),
        ),
    )
    at.emit(
        "request",
        f"artifacts://{entry.key}",
        recipients=(doc.owner,),
        audience="org",
        about=number,
        subject=doc.id,
        claim=note,
    )
    return {"ref": number, "state": "requested", "sent_to": doc.owner}


@kit.on("copied")
def copied(at: Slice, payload: dict[str, str]) -> None:
    """A copy has come to its end; it has all files, or all but those that a first pass left out."""
    entry = at.table(Entry).get(payload["key"])
    if entry is None or entry.state != "copying":
        return
    done = entry.files if entry.copied else entry.files - entry.skips
    state = "complete" if done == entry.files else "incomplete"
    at.table(Entry).update(entry.key, state=state, copied=done, ends=at.now)
    at.emit(
        "verify",
        f"artifacts://{entry.key}",
        subject=f"artifacts://{entry.copy_of}",
        outcome=state,
        count=done,
        start=entry.started,
        end=at.now,
        data={"tier": at.table(Repository)[entry.repo].tier, "missing": entry.files - done},
    )


@kit.on("decided")
def decided(at: Slice, payload: dict[str, str]) -> None:
    """The consumer's owner has decided on a release (payload: ref, outcome)."""
    release = at.table(Release).get(payload["ref"])
    if release is None or release.state != "requested":
        return
    at.table(Release).update(release.id, state=payload["outcome"], decided=at.now)
    if payload["outcome"] == "approved":
        at.emit(
            "approve",
            f"artifacts://{release.repo}/{release.path}",
            subject=release.doc,
            about=release.id,
            outcome="approved",
        )


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The owner writes under a release."""
    number = payload.get("about", "")
    if number in at.table(Release):
        at.table(Release).update(number, note=payload["text"])
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def _delete_one(at: Slice, store: Repository, spot: Spot, reason: str, ticket: str) -> None:
    """Delete one folder and say what is left of it elsewhere."""
    entry = spot.entry
    kept = _kept(at, spot)
    approved = at.table(Release).where(repo=entry.repo, path=entry.path, state="approved")
    need = entry.consumer
    if store.enforce_release and need is not None and need.state == "open" and kept != "all" and not approved:
        raise ToolError(
            "conflict",
            f"{entry.path} has an open consumer, {need.doc}.",
            expected="a complete copy in a cold repository, or a release",
            found=f"copied: {kept}, released: no",
        )
    at.emit(
        "delete",
        spot.uri,
        owner=entry.created_by,
        subject=need.doc if need is not None else "",
        about=f"artifacts://{entry.key}",
        count=spot.share(entry.files),
        reversible=store.trash_days > 0,
        reason=reason,
        refs=(ticket,),
        data={
            "consumer_state": _state_of(entry),
            "needed_until": need.needed_until if need is not None else "",
            "kept": kept,
            "released_by": approved[-1].to if approved else "",
            "gb": spot.share(entry.gb),
        },
    )
    _stop_copies(at, spot)
    table = at.table(Entry)
    left = tuple(name for name in entry.folders if name != spot.folder)
    if spot.folder and left:
        table.update(
            entry.key,
            folders=left,
            gb=entry.gb - spot.share(entry.gb),
            files=entry.files - spot.share(entry.files),
        )
    else:
        table.delete(entry.key)


def _stop_copies(at: Slice, spot: Spot) -> None:
    """Copies that were being made of what goes away keep what they have got by now."""
    for row in _copies(at, spot.entry):
        if row.state == "copying" and row.copy_of in (spot.key, spot.entry.key):
            at.table(Entry).update(row.key, state="incomplete", copied=_progress(row, at.clock), ends=at.now)


def _new_copy(at: Slice, spot: Spot, store: Repository, size: int, files: int) -> Entry:
    return Entry(
        repo=store.id,
        path=spot.path,
        gb=size,
        files=files,
        folders=() if spot.folder else spot.entry.folders,
        suffix=spot.entry.suffix,
        created=at.now,
        created_by=at.account,
        last_download="",
        skips=min(spot.entry.skips, files - 1),
        copy_of=spot.key,
    )


def _copies(at: Slice, entry: Entry) -> builtins.list[Entry]:
    """Return the copies of an entry and of its folders, in any repository."""
    return [
        row
        for row in at.table(Entry).values()
        if row.copy_of == entry.key
        or (row.copy_of.startswith(entry.key) and row.copy_of.removeprefix(entry.key).rstrip("/") in entry.folders)
    ]


def _kept(at: Slice, spot: Spot) -> str:
    """Return how much of a folder lies in copies in cold repositories: all, part or none."""
    repos = at.table(Repository)
    whole: builtins.list[str] = []
    begun = False
    for row in _copies(at, spot.entry):
        if repos[row.repo].tier != "cold":
            continue
        begun = begun or row.copied > 0
        if row.state == "complete":
            folder = row.copy_of.removeprefix(spot.entry.key).rstrip("/")
            whole += (folder,) if folder else row.folders or ("",)
    if all(name in whole for name in spot.folders):
        return "all"
    return "part" if begun else "none"


def _progress(row: Entry, now: int) -> int:
    """Return how many files a copy has by now."""
    if row.state != "copying" or row.copied:
        return row.copied
    begun, ends = minutes(row.started), minutes(row.ends)
    return min(row.files - row.skips, row.files * max(0, now - begun) // max(1, ends - begun))


def _missing(row: Entry, now: int) -> frozenset[int]:
    """Return the numbers of the files that a copy does not have: the end while it is made, then scattered ones."""
    lacking = row.files - _progress(row, now) if row.copy_of else 0
    if lacking <= 0:
        return frozenset()
    if lacking == row.skips:
        start = int(_digest(row, "")[:4], 16)
        step = max(1, row.files // (lacking + 1))
        return frozenset((start + step * (i + 1)) % row.files for i in range(lacking))
    return frozenset(range(row.files - lacking, row.files))


def _names(entry: Entry) -> Sequence[str]:
    """Return the names of an entry's files, spread over its folders."""
    folders = entry.folders or ("",)
    found: builtins.list[str] = []
    for number, folder in enumerate(folders):
        count = entry.files // len(folders) + (number < entry.files % len(folders))
        lead = f"{folder}/" if folder else ""
        found += [f"{lead}part-{i:05d}.{entry.suffix}" for i in range(count)]
    return found


def _kb(entry: Entry, name: str) -> int:
    """Return a file's size, within a third of the average."""
    average = entry.gb * 1024 * 1024 // max(1, entry.files)
    return average * (67 + int(_digest(entry, name)[:2], 16) % 66) // 100


def _digest(entry: Entry, name: str) -> str:
    """Return a file's digest; a copy's files have those of what it was made from."""
    return blake2b(f"{entry.copy_of or entry.key}{name}".encode(), digest_size=8).hexdigest()


def _need(at: Slice, entry: Entry) -> dict[str, object] | None:
    """Return an entry's consumer as rows show it, with its record's title as it stands now."""
    need = entry.consumer
    if need is None:
        return None
    doc = at.table(adrs.Adr).get(need.doc)
    released = at.table(Release).where(repo=entry.repo, path=entry.path, state="approved")
    return {
        "doc": need.doc,
        "title": doc.title if doc is not None else None,
        "state": need.state,
        "needed_until": need.needed_until or None,
        "released": released[-1].decided[:10] if released else None,
    }


def _state_of(entry: Entry) -> str:
    return entry.consumer.state if entry.consumer is not None else ""


def _age(entry: Entry, today: int) -> int:
    return (today - day_start(minutes(entry.created))) // 1440


def _use(repo: Repository) -> dict[str, object]:
    return {
        "repo": repo.id,
        "capacity_gb": repo.capacity_gb,
        "used_gb": repo.used_gb,
        "used_percent": round(1000 * repo.used_gb / repo.capacity_gb) / 10,
        "trash_days": repo.trash_days,
    }


def _repo(at: Slice, name: str) -> Repository:
    found = at.table(Repository).get(name.strip().strip("/"))
    if found is None:
        raise ToolError("not_found", f"No repository {name[:40]}.", offer=at.table(Repository).keys())
    return found


def _find(at: Slice, repo: str, path: str) -> Spot:
    """Return the entry or folder at a path; a final slash may be left out.

    Raises:
        ToolError: `not_found`, with paths that begin alike.
    """
    store = _repo(at, repo)
    wanted = path.strip().strip("/") + "/"
    top, _, rest = wanted.partition("/")
    table = at.table(Entry)
    whole = table.get(f"{store.id}/{wanted}")
    if whole is not None:
        return Spot(whole, "")
    entry = table.get(f"{store.id}/{top}/")
    if entry is not None and rest.strip("/") in entry.folders:
        return Spot(entry, rest.strip("/"))
    if entry is not None:
        near = [f"{entry.path}{name}/" for name in entry.folders] or [entry.path]
    else:
        rows = table.where(repo=store.id)
        near = [other.path for other in rows if other.path[:3] == wanted[:3]] or [other.path for other in rows]
    raise ToolError("not_found", f"No folder {wanted[:80]} in {store.id}.", offer=near[:20])
