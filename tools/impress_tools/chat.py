"""Chat: channels and direct messages, with mentions, replies and shared files.

A channel's id is its name without "#"; the conversation with one person is the channel "@<person id>". What a post
reached is in its effect: the people mentioned or addressed, the audience, the labels of the files shared with it. A
post dated later than now appears at that time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator

from impress_env.clock import resolve
from impress_env.effects import Audience
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_tools._common import (
    ME,
    Contacts,
    Query,
    about,
    attached,
    cut_line,
    cut_text,
    file_uri,
    merged,
    moment,
    references,
)

PREFIX = "P-"
ROWS = 20
POST_CAP = 6_000
PAGE_TEXT = 9_000  # characters of text on one page; beyond it the posts are cut to equal lengths
NOTICE = 600  # characters of an answer that the notice shows
_MENTION = re.compile(r"(?<![\w.@/])@([A-Za-z][\w.-]*\w)")
EVERYBODY = ("channel", "here", "all", "everyone")


class Channel(Record, frozen=True, kw_only=True):
    """One channel. Without members it is open to everybody; a private one is seen by its members alone."""

    id: str
    topic: str = ""
    members: tuple[str, ...] = ()
    external: bool = False
    private: bool = False
    archived: bool = False


class Post(Record, frozen=True, kw_only=True):
    """One post. `sender` is a person id, an account, or "me" for the agent; `files` are paths."""

    id: str
    channel: str
    sender: str
    at: str
    text: str
    reply_to: str = ""
    mentions: tuple[str, ...] = ()
    about: str = ""
    labels: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class ChannelSeed(Seed):
    """A channel in a scenario file."""

    topic: str = ""
    members: tuple[str, ...] = ()
    external: bool = False
    private: bool = False
    archived: bool = False


class PostSeed(Seed):
    """A post in a scenario file."""

    model_config = ConfigDict(populate_by_name=True)

    channel: Annotated[str, Field(min_length=1)]
    sender: Annotated[str, Field(alias="from", min_length=1)]
    at: str
    text: str
    reply_to: str = ""
    labels: tuple[str, ...] = ()


class ChatSeed(Seed):
    """Section `chat:`; `channels` and `items` by id, `messages` numbered by the app, oldest first."""

    channels: dict[str, ChannelSeed] = Field(default_factory=dict)
    items: dict[str, PostSeed] = Field(default_factory=dict)
    messages: tuple[PostSeed, ...] = ()

    @field_validator("channels")
    @classmethod
    def _plain_names(cls, channels: dict[str, ChannelSeed]) -> dict[str, ChannelSeed]:
        for name in channels:
            if name != _plain(name) or name.startswith("@"):
                raise ValueError(f"expected a channel's name in lower case without '#', found {name!r}")
        return channels


def build(seed: ChatSeed, make: Build) -> None:
    """Put the channels and posts; channels that only posts name are put too."""
    for name, entry in seed.channels.items():
        make.put(
            name,
            Channel(
                id=name,
                topic=entry.topic,
                members=merged(entry.members),
                external=entry.external,
                private=entry.private,
                archived=entry.archived,
            ),
        )
    entries = [(make.time(entry.at), number, entry) for number, entry in seed.items.items()]
    for seeded in sorted(seed.messages, key=lambda post: make.time(post.at)):
        number = make.next_id(PREFIX)
        while number in seed.items:
            number = make.next_id(PREFIX)
        entries.append((make.time(seeded.at), number, seeded))
    known = make.rows(Channel)
    ids = merged(make.rows(Person))
    for at, number, seeded in entries:
        name = _plain(seeded.channel)
        if name not in known:
            make.put(name, Channel(id=name))
        make.put(
            number,
            Post(
                id=number,
                channel=name,
                sender=seeded.sender.removeprefix("@"),
                at=at,
                text=seeded.text.strip(),
                reply_to=seeded.reply_to,
                mentions=merged(word for word in _MENTION.findall(seeded.text) if word in ids or word == ME),
                labels=merged(seeded.labels),
            ),
        )
        if resolve(at, make.now) > make.now:
            make.schedule(at, "arrive", id=number)


kit = Toolkit(
    "chat",
    title="Chat",
    seed=ChatSeed,
    tables={"chat.channels": Channel, "chat.items": Post},
    build=build,
)


@kit.tool(effects=["read"])
def channels(at: Slice, text: str = "", page: int = 1) -> object:
    """List the channels and direct conversations, the one with the newest post first.

    Args:
        text: Only those whose name or topic contains this.
        page: Page number, 20 channels a page.
    """
    wanted = text.strip().lower().lstrip("#")
    newest: dict[str, str] = {}
    counted: dict[str, int] = {}
    for post in _visible(at):
        newest[post.channel] = max(newest.get(post.channel, ""), post.at)
        counted[post.channel] = counted.get(post.channel, 0) + 1
    rows = [channel for channel in _open(at) if wanted in f"{channel.id} {channel.topic}".lower()]
    rows.sort(key=lambda channel: channel.id)
    rows.sort(key=lambda channel: newest.get(channel.id, ""), reverse=True)
    found = paged(rows, page, ROWS)
    shown: list[Channel] = found["items"]
    at.emit("read", "chat://", count=len(shown), covers=merged(f"chat://{channel.id}" for channel in shown))
    found["items"] = [
        _channel_row(channel) | {"posts": counted.get(channel.id, 0), "newest": newest.get(channel.id)}
        for channel in shown
    ]
    return found


@kit.tool(effects=["read"])
def members(at: Slice, channel: str) -> object:
    """List the members of a channel.

    Args:
        channel: Name of the channel.
    """
    found = _channel(at, channel)
    at.emit("read", f"chat://{found.id}", fields=("members",), count=len(found.members))
    contacts = Contacts(at)
    return {**_channel_row(found), "members": [contacts.shown(member) for member in found.members]}


@kit.tool(effects=["read"])
def history(at: Slice, channel: str, before: str = "", since: str = "", page: int = 1) -> object:
    """Read a channel or a direct conversation: the newest page first, on each page the oldest post first.

    Args:
        channel: Name of the channel, or "@" and a person's id for a direct conversation.
        before: Only posts before this time, "2026-11-19" or "2026-11-19T14:23".
        since: Only posts from this time on.
        page: Page number, 20 posts a page; page 2 is older than page 1.
    """
    name = _channel(at, channel).id
    first = moment(at, since, "since") if since else ""
    last = moment(at, before, "before") if before else "9999"
    rows = [post for post in _visible(at) if post.channel == name and first <= post.at < last]
    rows.sort(key=lambda post: (post.at, post.id), reverse=True)
    return {"channel": _shown(name), **_listed(at, rows, page, f"chat://{name}")}


@kit.tool(effects=["read"])
def thread(at: Slice, id: str, page: int = 1) -> object:
    """Read a post and the replies to it, the newest page first.

    Args:
        id: Id of the post or of one of its replies.
        page: Page number, 20 posts a page.
    """
    top = _top(at, _find(at, id))
    rows = [post for post in _visible(at) if post.id == top.id or _top(at, post).id == top.id]
    rows.sort(key=lambda post: (post.at, post.id), reverse=True)
    return {"channel": _shown(top.channel), **_listed(at, rows, page, _uri(top))}


@kit.tool(effects=["read"])
def search(at: Slice, text: str, channel: str = "", from_: str = "", since: str = "", page: int = 1) -> object:
    """Search posts, newest first.

    Args:
        text: Words that the post holds, in any order; "quoted phrases" as they stand, -word to leave out.
        channel: Only this channel or direct conversation.
        from_: Only posts by this person (id, name or mail address), or "me".
        since: Only posts from this time on, "2026-11-19" or "2026-11-19T14:23".
        page: Page number, 20 posts a page.
    """
    query, contacts = Query(text), Contacts(at)
    name = _channel(at, channel).id if channel else ""
    sender = contacts.resolve(from_) if from_ else ""
    first = moment(at, since, "since") if since else ""
    rows = [
        post
        for post in _visible(at)
        if (not name or post.channel == name)
        and (not sender or contacts.name(post.sender) == sender)
        and post.at >= first
        and query.all_in(f"{post.text} {' '.join(post.files)}")
    ]
    rows.sort(key=lambda post: (post.at, post.id), reverse=True)
    return _listed(at, rows, page, "chat://", newest_last=False)


@kit.tool(effects=["read"])
def mentions(at: Slice, since: str = "", page: int = 1) -> object:
    """List the posts that mention you, newest first.

    Args:
        since: Only posts from this time on, "2026-11-19" or "2026-11-19T14:23".
        page: Page number, 20 posts a page.
    """
    first = moment(at, since, "since") if since else ""
    rows = [
        post
        for post in _visible(at)
        if post.at >= first
        and post.sender not in (ME, at.account)
        and (ME in post.mentions or at.account in post.mentions or f"@{at.account}" in post.text)
    ]
    rows.sort(key=lambda post: (post.at, post.id), reverse=True)
    return _listed(at, rows, page, "chat://", newest_last=False)


@kit.tool(effects=["send"])
def post(
    at: Slice,
    channel: str,
    text: str,
    reply_to: str = "",
    files: list[str] | None = None,
    about: str = "",
) -> object:
    """Post to a channel. "@" and a person's id mentions the person, "@channel" all members.

    Args:
        channel: Name of the channel.
        text: The post.
        reply_to: Id of a post of the channel that this one answers.
        files: Paths of files to share with it.
        about: Id of the record that the post is linked to; by default the only one that it names.
    """
    found = _channel(at, channel)
    if found.archived:
        raise ToolError("conflict", f"{_shown(found.id)} is archived.", expected="a channel in use", offer=_names(at))
    if reply_to:
        answered = _find(at, reply_to)
        if answered.channel != found.id:
            raise ToolError(
                "conflict", f"{answered.id} is in {_shown(answered.channel)}.", expected=f"a post of {_shown(found.id)}"
            )
    return _post(at, found, text, reply_to=reply_to.strip(), paths=files or [], about_given=about)


@kit.tool(effects=["send"])
def direct(at: Slice, to: str, text: str, files: list[str] | None = None, about: str = "") -> object:
    """Send a direct message to one person.

    Args:
        to: Id, mail address or full name.
        text: The message.
        files: Paths of files to share with it.
        about: Id of the record that the message is linked to; by default the only one that it names.
    """
    contacts = Contacts(at)
    person = contacts.person(to)
    if contacts.own(person.id):
        raise ToolError("conflict", "That is your own account.", expected="somebody else")
    name = f"@{person.id}"
    found = at.table(Channel).get(name)
    if found is None:
        found = Channel(id=name, external=person.external)
        at.table(Channel).put(name, found)
    return _post(at, found, text, reply_to="", paths=files or [], about_given=about)


@kit.on("arrive")
def arrive(at: Slice, payload: dict[str, str]) -> None:
    """A post that was to come is there; the agent is told where it is addressed or mentioned."""
    found = at.table(Post).get(payload["id"])
    if found is None:
        return
    if found.channel.startswith("@") or ME in found.mentions:
        at.notify(f"{_shown(found.channel)} {found.id} {found.sender}: {cut_line(found.text, NOTICE)}")


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A person answers where the agent wrote: in the channel, or in the direct conversation."""
    asked = at.table(Post).get(payload.get("thread", "").rpartition("/")[2])
    who = payload["from"]
    name = asked.channel if asked is not None else f"@{who}"
    if name.startswith("@"):
        name = f"@{who}"
    if at.table(Channel).get(name) is None:
        at.table(Channel).put(name, Channel(id=name))
    in_channel = asked is not None and asked.channel == name and not name.startswith("@")
    number = at.next_id(PREFIX)
    at.table(Post).put(
        number,
        Post(
            id=number,
            channel=name,
            sender=who,
            at=at.now,
            text=payload["text"].strip(),
            reply_to=asked.id if asked is not None and in_channel else "",
            mentions=merged((asked.sender,)) if asked is not None and in_channel else (),
            about=(asked.about if asked is not None else "") or payload.get("about", ""),
        ),
    )
    place = f"{_shown(name)} " if in_channel else ""
    at.notify(f"{place}{number} {who}: {cut_line(payload['text'], NOTICE)}")


def _post(
    at: Slice, channel: Channel, text: str, *, reply_to: str, paths: Sequence[str], about_given: str
) -> dict[str, object]:
    clean = text.strip()
    if not clean:
        raise ToolError("invalid_arguments", "The post is empty.", expected="some text")
    if len(clean) > POST_CAP:
        raise ToolError(
            "too_large", "The post is too long.", expected=f"at most {POST_CAP} characters", found=str(len(clean))
        )
    contacts = Contacts(at)
    files = attached(at, paths)
    named = _mentioned(contacts, channel, clean)
    number = at.next_id(PREFIX)
    new = Post(
        id=number,
        channel=channel.id,
        sender=at.account,
        at=at.now,
        text=clean,
        reply_to=reply_to,
        mentions=named,
        about=about(about_given, clean),
        labels=merged(*(file.labels for file in files)),
        files=tuple(file.path for file in files),
    )
    at.table(Post).put(number, new)
    addressed = (channel.id[1:],) if channel.id.startswith("@") else named
    at.emit(
        "send",
        _uri(new),
        recipients=merged(addressed),
        audience=_audience(contacts, channel, named),
        labels=new.labels,
        purposes=merged(*(file.purposes for file in files)),
        claim=clean,
        about=new.about,
        reversible=False,
        covers=merged((f"chat://{channel.id}",), (file_uri(file.path) for file in files)),
        refs=references(clean),
        data={"channel": channel.id, "members": channel.members} | ({"answers": reply_to} if reply_to else {}),
    )
    result: dict[str, object] = {"id": number, "channel": _shown(channel.id), "at": at.now}
    if named:
        result["mentions"] = list(named)
    if files:
        result["files"] = list(new.files)
    return result


def _mentioned(contacts: Contacts, channel: Channel, text: str) -> tuple[str, ...]:
    found: list[str] = []
    for word in _MENTION.findall(text):
        if word.lower() in EVERYBODY:
            found += [member for member in channel.members if not contacts.own(member)]
            continue
        person = contacts.find(word)
        if person is not None and not contacts.own(person.id):
            found.append(person.id)
    return merged(found)


def _audience(contacts: Contacts, channel: Channel, named: Sequence[str]) -> Audience:
    """Return who can read a post: the members, or for an open channel the organisation."""
    if channel.external:
        return "external"
    if channel.id.startswith("@"):
        return contacts.audience((channel.id[1:],))
    if not channel.members:
        return "org"
    found = contacts.audience((*channel.members, *named))
    return "team" if found == "self" else found


def _open(at: Slice) -> list[Channel]:
    """Return the channels that the account may see."""
    return [
        channel
        for channel in at.table(Channel).values()
        if not channel.private or at.account in channel.members or ME in channel.members
    ]


def _visible(at: Slice) -> list[Post]:
    now, names = at.now, {channel.id: None for channel in _open(at)}
    return [post for post in at.table(Post).values() if post.at <= now and post.channel in names]


def _names(at: Slice) -> list[str]:
    return [_shown(channel.id) for channel in _open(at) if not channel.archived]


def _channel(at: Slice, name: str) -> Channel:
    wanted = _plain(name)
    known = {channel.id: channel for channel in _open(at)}
    found = known.get(wanted)
    if found is None:
        person = Contacts(at).find(name) if name.strip().startswith("@") else None
        found = known.get(f"@{person.id}") if person is not None else None
        if person is not None and found is None:
            raise ToolError("not_found", f"No direct messages with {person.id} so far.", offer=_names(at))
    if found is None:
        raise ToolError("not_found", f"No channel {name[:60]}.", offer=_names(at))
    return found


def _find(at: Slice, id: str) -> Post:
    wanted = id.strip().rpartition("/")[2]
    found = next((post for post in _visible(at) if post.id == wanted), None)
    if found is None:
        newest = sorted(_visible(at), key=lambda row: (row.at, row.id), reverse=True)
        raise ToolError("not_found", f"No post {id[:60]}.", offer=[row.id for row in newest])
    return found


def _top(at: Slice, post: Post) -> Post:
    """Return the post that a thread hangs on."""
    table = at.table(Post)
    for _ in range(50):
        above = table.get(post.reply_to) if post.reply_to else None
        if above is None:
            break
        post = above
    return post


def _listed(at: Slice, rows: list[Post], page: int, uri: str, *, newest_last: bool = True) -> dict[str, Any]:
    """Return a page of posts, which come newest first, and say what was read."""
    contacts = Contacts(at)
    found = paged(rows, page, ROWS)
    shown: list[Post] = found["items"]
    if newest_last:
        shown = shown[::-1]
    at.emit(
        "read",
        uri,
        labels=merged(*(post.labels for post in shown)),
        fields=("text",),
        count=len(shown),
        covers=merged(_uri(post) for post in shown),
    )
    width = PAGE_TEXT // max(1, len(shown)) if sum(len(post.text) for post in shown) > PAGE_TEXT else POST_CAP
    found["items"] = [_row(contacts, post, width) for post in shown]
    return found


def _row(contacts: Contacts, post: Post, width: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": post.id,
        "channel": _shown(post.channel),
        "at": post.at,
        "from": contacts.name(post.sender),
        "text": cut_text(post.text, width),
    }
    if post.reply_to:
        row["reply_to"] = post.reply_to
    if post.files:
        row["files"] = post.files
    return row


def _channel_row(channel: Channel) -> dict[str, Any]:
    row: dict[str, Any] = {"channel": _shown(channel.id), "topic": channel.topic}
    for name in ("external", "private", "archived"):
        if getattr(channel, name):
            row[name] = True
    return row


def _plain(name: str) -> str:
    return name.strip().removeprefix("#").lower()


def _shown(name: str) -> str:
    return name if name.startswith("@") else f"#{name}"


def _uri(post: Post) -> str:
    return f"chat://{post.channel}/{post.id}"
