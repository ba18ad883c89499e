"""The mailbox behind the mail toolkit: its records, its section of a scenario file, and how it is built.

Knows nothing of the tools.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from impress_env.clock import resolve
from impress_env.tool import Build, Seed
from impress_env.world.table import Record
from impress_tools._common import ME, merged

PREFIX: Final = "M-"
_REPLY = re.compile(r"^\s*(?:(?:re|aw|sv|fwd?|wg|vs)\s*:\s*)+", re.IGNORECASE)


class Attachment(Record, frozen=True, kw_only=True):
    """A file as it was when the message was sent; `source` is the uri of the file it was taken from."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    source: str = ""


class Message(Record, frozen=True, kw_only=True):
    """One message. Parties are person ids, addresses, or "me"; they are resolved when shown."""

    id: str
    thread: str
    folder: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    subject: str
    body: str
    at: str
    read: bool = False
    flagged: bool = False
    about: str = ""
    labels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Group(Record, frozen=True, kw_only=True):
    """A distribution list: its address and the person ids or addresses that it stands for."""

    id: str
    address: str
    members: tuple[str, ...]


class Settings(Record, frozen=True, kw_only=True):
    """The mailbox: its address, further domains of the organisation, further folders."""

    address: str
    domains: tuple[str, ...]
    folders: tuple[str, ...]


class AttachmentSeed(Seed):
    """An attachment in a scenario file."""

    name: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^/\\]+$")]
    text: str
    labels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()


class MessageSeed(Seed):
    """A message in a scenario file. Parties are person ids, addresses, "Name <address>", or "me" for the agent."""

    model_config = ConfigDict(populate_by_name=True)

    sender: str = Field(alias="from", min_length=1)
    to: tuple[str, ...] = (ME,)
    cc: tuple[str, ...] = ()
    subject: str = ""
    at: str
    body: str = ""
    folder: str = ""
    read: bool | None = None
    flagged: bool = False
    labels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    thread: str = ""
    about: str = ""
    attachments: tuple[AttachmentSeed, ...] = ()


class GroupSeed(Seed):
    """A distribution list in a scenario file."""

    address: str
    members: tuple[str, ...] = ()


class SettingsSeed(Seed):
    """Settings in a scenario file. The address is by default the agent's account at the organisation's domain."""

    address: str = ""
    domains: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


class MailSeed(Seed):
    """Section `mail:`; `items` by id, `messages` numbered by the app, oldest first."""

    settings: SettingsSeed = SettingsSeed()
    groups: dict[str, GroupSeed] = Field(default_factory=dict)
    items: dict[str, MessageSeed] = Field(default_factory=dict)
    messages: tuple[MessageSeed, ...] = ()


def build(seed: MailSeed, make: Build) -> None:
    """Put the messages and plan the arrival of those that are still to come."""
    own = seed.settings.address.lower()
    make.put(
        "settings",
        Settings(
            address=own,
            domains=merged(domain.lower() for domain in seed.settings.domains),
            folders=tuple(seed.settings.folders),
        ),
    )
    for name, group in seed.groups.items():
        make.put(name, Group(id=name, address=group.address.lower(), members=merged(group.members)))
    taken = dict.fromkeys(seed.items)
    entries: list[tuple[str, str, MessageSeed]] = [
        (make.time(entry.at), number, entry) for number, entry in seed.items.items()
    ]
    for entry in sorted(seed.messages, key=lambda message: make.time(message.at)):
        number = make.next_id(PREFIX)
        while number in taken:
            number = make.next_id(PREFIX)
        entries.append((make.time(entry.at), number, entry))
    threads: dict[str, str] = {}
    for at, number, entry in sorted(entries, key=lambda row: row[:2]):
        make.put(number, _seeded(number, at, entry, _thread(number, entry, threads), own, make))
        if resolve(at, make.now) > make.now:
            make.schedule(at, "arrive", id=number)


def _thread(number: str, entry: MessageSeed, threads: dict[str, str]) -> str:
    """Return the thread of a message: as given, that of the subject it answers, or a new one."""
    subject = bare(entry.subject).lower()
    answered = threads.get(subject) if _REPLY.match(entry.subject) else None
    threads[subject] = entry.thread or answered or number
    return threads[subject]


def _seeded(number: str, at: str, entry: MessageSeed, thread: str, own: str, make: Build) -> Message:
    mine = entry.sender.strip().lower() in (ME, make.account.lower(), own, own.partition("@")[0])
    return Message(
        id=number,
        thread=thread,
        folder=entry.folder or ("sent" if mine else "inbox"),
        sender=entry.sender.strip(),
        to=entry.to,
        cc=entry.cc,
        subject=entry.subject,
        body=entry.body.strip(),
        at=at,
        read=entry.read if entry.read is not None else mine or resolve(at, make.now) < make.now - 1440,
        flagged=entry.flagged,
        about=entry.about,
        labels=merged(entry.labels),
        purposes=merged(entry.purposes),
        attachments=tuple(
            Attachment(name=a.name, text=a.text, labels=merged(a.labels), purposes=merged(a.purposes))
            for a in entry.attachments
        ),
    )


def bare(subject: str) -> str:
    """Return a subject without "Re:" and "Fwd:" before it."""
    return _REPLY.sub("", subject).strip()
