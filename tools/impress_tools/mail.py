"""Mail: the agent's mailbox. Folders, reading and searching, sending with files attached, replies and forwards.

A message is one record whoever wrote it; people have no mailboxes of their own, since what reached them is in the
effect of sending: recipients (person ids where known), audience, and the labels of what was attached or quoted.
Attachments are kept as they were when sent. A message dated later than now arrives at that time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from impress_env.errors import ToolError
from impress_env.tool import Slice, Toolkit, paged
from impress_env.world.filesystem import File, normalise
from impress_tools._common import (
    ME,
    Contacts,
    Query,
    about,
    attached,
    chunk,
    cut_line,
    cut_text,
    file_uri,
    merged,
    moment,
    references,
)
from impress_tools._mailbox import PREFIX, Attachment, Group, MailSeed, Message, Settings, bare, build

FOLDERS = ("inbox", "sent", "archive", "trash")
ROWS = 20
THREAD_ROWS = 6
THREAD_WIDTH = 1_500
BODY_CAP = 30_000
SUBJECT_CAP = 300
PARTIES_CAP = 50

kit = Toolkit(
    "mail",
    title="Mail",
    seed=MailSeed,
    tables={"mail": Settings, "mail.groups": Group, "mail.items": Message},
    build=build,
)


@kit.tool(effects=["read"])
def folders(at: Slice) -> object:
    """List the folders of the mailbox with the number of messages and of unread ones."""
    messages = _arrived(at)
    names = _folders(at, messages)
    at.emit("read", "mail://", fields=("folder",))
    return [
        {
            "folder": name,
            "messages": sum(1 for message in messages if message.folder == name),
            "unread": sum(1 for message in messages if message.folder == name and not message.read),
        }
        for name in names
    ]


@kit.tool(effects=["read"])
def inbox(at: Slice, folder: str = "inbox", unread: bool = False, flagged: bool = False, page: int = 1) -> object:
    """List the messages of a folder, newest first.

    Args:
        folder: Name of the folder.
        unread: Only unread messages.
        flagged: Only flagged messages.
        page: Page number, 20 messages a page.
    """
    messages = _arrived(at)
    name = _folder(at, folder, messages)
    rows = [
        message
        for message in messages
        if message.folder == name and (not unread or not message.read) and (not flagged or message.flagged)
    ]
    return _listed(at, rows, page, f"mail://{name}")


@kit.tool(effects=["read"])
def search(
    at: Slice,
    text: str = "",
    from_: str = "",
    to: str = "",
    subject: str = "",
    folder: str = "",
    since: str = "",
    until: str = "",
    has_attachment: bool | None = None,
    about: str = "",
    page: int = 1,
) -> object:
    """Search all folders, newest first.

    Args:
        text: Words of subject, body, parties or attachment names, in any order; "quoted phrases" as they stand,
            -word to leave out.
        from_: Only messages whose sender's id, name or address contains this.
        to: Only messages to or in copy to somebody whose id, name or address contains this.
        subject: Only messages whose subject contains this.
        folder: Only this folder; by default all but the trash.
        since: Only messages from this time on, "2026-11-19" or "2026-11-19T14:23".
        until: Only messages up to this time; a date counts as its whole day.
        has_attachment: Only messages with (true) or without (false) attachments.
        about: Only messages filed under this record id.
        page: Page number, 20 messages a page.
    """
    query, contacts, messages = Query(text), _contacts(at), _arrived(at)
    wanted_folder = _folder(at, folder, messages) if folder else ""
    first = moment(at, since, "since") if since else ""
    last = moment(at, until, "until") if until else "9999"
    if len(until.strip()) == 10 and until.strip()[:4].isdigit():
        last = last[:11] + "23:59"
    rows = [
        message
        for message in messages
        if first <= message.at <= last
        and (message.folder == wanted_folder if wanted_folder else message.folder != "trash")
        and _plain(subject) in _plain(message.subject)
        and (has_attachment is None or bool(message.attachments) == has_attachment)
        and (not about or message.about.lower() == about.strip().lower())
        and (not from_ or _party_holds(contacts, (message.sender,), from_))
        and (not to or _party_holds(contacts, (*message.to, *message.cc), to))
        and query.all_in(_indexed(contacts, message))
    ]
    return _listed(at, rows, page, "mail://")


@kit.tool(effects=["read"])
def read(at: Slice, id: str, offset: int = 0) -> object:
    """Open a message; it counts as read from then on.

    Args:
        id: Id of the message.
        offset: Character of the body to start at, as `next_offset` of an earlier part gave it.
    """
    message = _find(at, id)
    if not 0 <= offset <= len(message.body):
        raise ToolError(
            "invalid_arguments", "offset is out of range.", expected=f"0 to {len(message.body)}", found=str(offset)
        )
    if not message.read:
        message = at.table(Message).update(message.id, read=True)
    contacts = _contacts(at)
    piece = chunk(message.body, offset)
    at.emit(
        "read",
        _uri(message),
        owner=contacts.name(message.sender),
        labels=message.labels,
        purposes=message.purposes,
        about=message.about,
        fields=("body", "from", "subject", "to"),
        data={"thread": message.thread, "whole": len(piece) == len(message.body)},
    )
    others = [other.id for other in _in_thread(at, message) if other.id != message.id]
    result = _headers(contacts, message) | {"body": piece}
    if offset + len(piece) < len(message.body):
        result |= {"next_offset": offset + len(piece), "characters": len(message.body)}
    if message.attachments:
        result["attachments"] = [{"name": each.name, "characters": len(each.text)} for each in message.attachments]
    if others:
        result["others_in_thread"] = others[-20:]
    return result


@kit.tool(effects=["read"])
def thread(at: Slice, id: str, page: int = 1) -> object:
    """Read the whole conversation that a message belongs to, oldest first; long bodies are cut.

    Args:
        id: Id of any message of the conversation.
        page: Page number, 6 messages a page.
    """
    contacts = _contacts(at)
    rows = _in_thread(at, _find(at, id))
    found = paged(rows, page, THREAD_ROWS)
    shown: list[Message] = found["items"]
    for message in shown:
        if not message.read:
            at.table(Message).update(message.id, read=True)
    at.emit(
        "read",
        f"mail://threads/{rows[0].thread}",
        labels=merged(*(message.labels for message in shown)),
        purposes=merged(*(message.purposes for message in shown)),
        fields=("body", "from", "subject", "to"),
        count=len(shown),
        covers=merged(_uri(message) for message in shown),
    )
    found["items"] = [
        _headers(contacts, message)
        | {"body": cut_text(message.body, THREAD_WIDTH)}
        | ({"attachments": [each.name for each in message.attachments]} if message.attachments else {})
        for message in shown
    ]
    return found


@kit.tool(effects=["read"])
def attachment(at: Slice, id: str, name: str, offset: int = 0) -> object:
    """Open an attachment of a message.

    Args:
        id: Id of the message.
        name: Name of the attachment.
        offset: Character to start at, as `next_offset` of an earlier part gave it.
    """
    message = _find(at, id)
    found = _attachment(message, name)
    if not 0 <= offset <= len(found.text):
        raise ToolError(
            "invalid_arguments", "offset is out of range.", expected=f"0 to {len(found.text)}", found=str(offset)
        )
    piece = chunk(found.text, offset)
    at.emit(
        "read",
        _attachment_uri(message, found),
        owner=_contacts(at).name(message.sender),
        labels=found.labels,
        purposes=found.purposes,
        fields=("text",),
        covers=(found.source,) if found.source else (),
        data={"whole": len(piece) == len(found.text)},
    )
    result: dict[str, object] = {"message": message.id, "name": found.name, "text": piece}
    if offset + len(piece) < len(found.text):
        result |= {"next_offset": offset + len(piece), "characters": len(found.text)}
    return result


@kit.tool(effects=["create", "read"])
def save_attachment(at: Slice, id: str, name: str, path: str) -> object:
    """Save an attachment of a message as a new file of the shared drive.

    Args:
        id: Id of the message.
        name: Name of the attachment.
        path: Path of the new file; a path that ends in "/" keeps the attachment's name.
    """
    message = _find(at, id)
    found = _attachment(message, name)
    target = normalise(f"{path}{found.name}" if path.endswith("/") else path)
    if at.table(File).get(target) is not None:
        raise ToolError("conflict", f"{target} exists already.", expected="the path of a new file")
    file = at.files.write(target, found.text, by=at.account, labels=found.labels)
    if found.purposes:
        file = at.table(File).update(file.path, purposes=found.purposes)
    source = _attachment_uri(message, found)
    at.emit("read", source, labels=found.labels, purposes=found.purposes, fields=("text",))
    at.emit("create", file_uri(file.path), owner=file.owner, labels=file.labels, purposes=file.purposes, refs=(source,))
    return {"path": file.path, "characters": len(file.text)}


@kit.tool(effects=["send"])
def send(
    at: Slice,
    to: list[str],
    subject: str,
    body: str,
    cc: list[str] | None = None,
    bcc: list[str] | None = None,
    attachments: list[str] | None = None,
    about: str = "",
) -> object:
    """Send a message.

    Args:
        to: Recipients: person ids, mail addresses or names of distribution lists.
        subject: Subject line.
        body: Text of the message.
        cc: Recipients in copy.
        bcc: Recipients in blind copy.
        attachments: Paths of files to attach.
        about: Id of the record to file the message under; by default the only one that it names.
    """
    if not subject.strip() and not body.strip():
        raise ToolError("invalid_arguments", "The message is empty.", expected="a subject or a body")
    return _send(
        at, to=to, cc=cc or [], bcc=bcc or [], subject=subject, body=body, files=attachments or [], about_given=about
    )


@kit.tool(effects=["send"])
def reply(
    at: Slice, id: str, body: str, all: bool = False, cc: list[str] | None = None, attachments: list[str] | None = None
) -> object:
    """Answer a message within its conversation.

    Args:
        id: Id of the message to answer.
        body: Text of the answer.
        all: Whether everybody on the message gets the answer, or only its sender.
        cc: Further recipients in copy.
        attachments: Paths of files to attach.
    """
    message, contacts = _find(at, id), _contacts(at)
    if not body.strip():
        raise ToolError("invalid_arguments", "The answer is empty.", expected="some text")
    mine = contacts.own(message.sender)
    first = list(message.to) if mine else [message.sender]
    rest = [*([] if mine else message.to), *message.cc] if all else []
    return _send(
        at,
        to=first,
        cc=[*(who for who in rest if not contacts.own(who)), *(cc or [])],
        bcc=[],
        subject=_prefixed("Re", message.subject),
        body=body,
        files=attachments or [],
        about_given=message.about,
        answers=message,
    )


@kit.tool(effects=["send"])
def forward(
    at: Slice,
    id: str,
    to: list[str],
    body: str = "",
    cc: list[str] | None = None,
    attachments: list[str] | None = None,
    with_attachments: bool = True,
) -> object:
    """Pass a message on, with its text and attachments.

    Args:
        id: Id of the message to pass on.
        to: Recipients: person ids, mail addresses or names of distribution lists.
        body: Text to put above it.
        cc: Recipients in copy.
        attachments: Paths of further files to attach.
        with_attachments: Whether the message's own attachments go along.
    """
    message = _find(at, id)
    return _send(
        at,
        to=to,
        cc=cc or [],
        bcc=[],
        subject=_prefixed("Fwd", message.subject),
        body=body,
        files=attachments or [],
        about_given=message.about,
        passed_on=message,
        kept=message.attachments if with_attachments else (),
    )


@kit.tool(effects=["update", "delete"])
def move(at: Slice, ids: list[str], folder: str, create: bool = False) -> object:
    """Move messages to another folder; moved to "trash" they are deleted, and can be moved back.

    Args:
        ids: Ids of the messages, at most 50.
        folder: Name of the folder.
        create: Whether the folder may be a new one.
    """
    name = folder.strip().lower() if create else _folder(at, folder, _arrived(at))
    if not re.fullmatch(r"[\w][\w /&.-]{0,59}", name):
        raise ToolError(
            "invalid_arguments", "Not a folder name.", expected="1 to 60 letters, digits, spaces", found=name[:80]
        )
    for message in _several(at, ids):
        if message.folder == name:
            continue
        at.table(Message).update(message.id, folder=name)
        at.emit(
            "delete" if name == "trash" else "update",
            _uri(message),
            labels=message.labels,
            fields=("folder",),
            before=message.folder,
            after=name,
            reversible=True,
        )
    return {"folder": name, "messages": list(dict.fromkeys(ids))}


@kit.tool(effects=["update"])
def mark(at: Slice, ids: list[str], as_: Literal["read", "unread", "flagged", "unflagged"]) -> object:
    """Mark messages as read or unread, or set and clear their flag.

    Args:
        ids: Ids of the messages, at most 50.
        as_: What they are marked as.
    """
    field = "read" if as_ in ("read", "unread") else "flagged"
    value = as_ in ("read", "flagged")
    for message in _several(at, ids):
        before = bool(getattr(message, field))
        if before == value:
            continue
        at.table(Message).update(message.id, **{field: value})
        at.emit("update", _uri(message), fields=(field,), before=before, after=value, reversible=True)
    return {"marked": as_, "messages": list(dict.fromkeys(ids))}


@kit.on("arrive")
def arrive(at: Slice, payload: dict[str, str]) -> None:
    """A message that was on its way is in the mailbox."""
    message = at.table(Message).get(payload["id"])
    if message is not None:
        _notify(at, message)


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A person answers a message of the agent's; the answer is in the inbox, in the same conversation."""
    asked = at.table(Message).get(payload.get("thread", "").removeprefix("mail://"))
    number = at.next_id(PREFIX)
    topic = payload.get("about", "")
    message = Message(
        id=number,
        thread=asked.thread if asked is not None else number,
        folder="inbox",
        sender=payload["from"],
        to=(asked.sender if asked is not None else ME,),
        subject=_prefixed("Re", asked.subject if asked is not None else topic),
        body=payload["text"].strip(),
        at=at.now,
        about=(asked.about if asked is not None else "") or topic,
    )
    at.table(Message).put(number, message)
    _notify(at, message)


def _send(
    at: Slice,
    *,
    to: Sequence[str],
    cc: Sequence[str],
    bcc: Sequence[str],
    subject: str,
    body: str,
    files: Sequence[str],
    about_given: str,
    answers: Message | None = None,
    passed_on: Message | None = None,
    kept: tuple[Attachment, ...] = (),
) -> dict[str, object]:
    """Send a message, keep it in "sent", and say whom and what it reached."""
    contacts = _contacts(at)
    _check_sizes(to, cc, bcc, subject, body)
    groups = at.table(Group).values()
    lines: list[list[str]] = []
    for parties in (to, cc, bcc):
        named = [_address(contacts, groups, who) for who in parties]
        lines.append([who for who in dict.fromkeys(named) if not any(who in line for line in lines)])
    reached = _reached(contacts, groups, [party for line in lines for party in line])
    new = attached(at, files)
    text = body if passed_on is None else _quoted(contacts, passed_on, body)
    carried = (
        *kept,
        *(
            Attachment(
                name=file.path.rpartition("/")[2],
                text=file.text,
                labels=file.labels,
                purposes=file.purposes,
                source=file_uri(file.path),
            )
            for file in new
        ),
    )
    quoted_labels = passed_on.labels if passed_on is not None else ()
    quoted_purposes = passed_on.purposes if passed_on is not None else ()
    number = at.next_id(PREFIX)
    message = Message(
        id=number,
        thread=answers.thread if answers is not None else number,
        folder="sent",
        sender=at.account,
        to=tuple(lines[0]),
        cc=tuple(lines[1]),
        bcc=tuple(lines[2]),
        subject=subject.strip(),
        body=text.strip(),
        at=at.now,
        read=True,
        about=about(about_given, subject, body),
        labels=quoted_labels,
        purposes=quoted_purposes,
        attachments=carried,
    )
    at.table(Message).put(number, message)
    if at.account in reached:
        copy_number = at.next_id(PREFIX)
        at.table(Message).put(copy_number, _own_copy(message, copy_number))
    at.emit(
        "send",
        _uri(message),
        recipients=reached,
        audience=contacts.audience(reached),
        labels=merged(quoted_labels, *(each.labels for each in carried)),
        purposes=merged(quoted_purposes, *(each.purposes for each in carried)),
        subject=message.subject,
        claim=body.strip(),
        about=message.about,
        reversible=False,
        count=len(reached),
        covers=_covered(passed_on, kept, new),
        refs=references(subject, body),
        data=_parties(lines, answers),
    )
    result: dict[str, object] = {
        "id": number,
        "thread": message.thread,
        "to": [contacts.shown(who) for who in message.to],
        "at": message.at,
    }
    if message.cc:
        result["cc"] = [contacts.shown(who) for who in message.cc]
    if carried:
        result["attachments"] = [each.name for each in carried]
    return result


def _covered(passed_on: Message | None, kept: tuple[Attachment, ...], new: Iterable[File]) -> tuple[str, ...]:
    quoted = () if passed_on is None else (_uri(passed_on),)
    along = () if passed_on is None else tuple(_attachment_uri(passed_on, each) for each in kept)
    sources = tuple(each.source for each in kept if each.source)
    return merged(quoted, along, sources, (file_uri(file.path) for file in new))


def _parties(
    lines: Sequence[Sequence[str]], answers: Message | None
) -> dict[str, str | int | bool | tuple[str, ...] | None]:
    found: dict[str, str | int | bool | tuple[str, ...] | None] = {
        name: tuple(sorted(line)) for name, line in zip(("to", "cc", "bcc"), lines, strict=True) if line
    }
    if answers is not None:
        found["answers"] = _uri(answers)
    return found


def _own_copy(message: Message, number: str) -> Message:
    return Message(
        id=number,
        thread=message.thread,
        folder="inbox",
        sender=message.sender,
        to=message.to,
        cc=message.cc,
        subject=message.subject,
        body=message.body,
        at=message.at,
        about=message.about,
        labels=message.labels,
        purposes=message.purposes,
        attachments=message.attachments,
    )


def _check_sizes(to: Sequence[str], cc: Sequence[str], bcc: Sequence[str], subject: str, body: str) -> None:
    if not to:
        raise ToolError("invalid_arguments", "The message has no recipient.", expected="at least one in to")
    if len(to) + len(cc) + len(bcc) > PARTIES_CAP:
        raise ToolError("too_large", "Too many recipients.", expected=f"at most {PARTIES_CAP}")
    if len(subject) > SUBJECT_CAP or "\n" in subject:
        raise ToolError(
            "invalid_arguments", "Not a subject line.", expected=f"one line of at most {SUBJECT_CAP} characters"
        )
    if len(body) > BODY_CAP:
        raise ToolError("too_large", "The message is too long.", expected=f"at most {BODY_CAP} characters")


def _address(contacts: Contacts, groups: Sequence[Group], who: str) -> str:
    """Return a recipient as the message keeps it: a person's id, the own account, a list's address, an address."""
    group = _group(groups, who)
    return group.address if group is not None else contacts.resolve(who)


def _reached(contacts: Contacts, groups: Sequence[Group], parties: Sequence[str]) -> tuple[str, ...]:
    """Return everybody whom the parties stand for, distribution lists opened, sorted."""
    found: list[str] = []
    for party in parties:
        group = _group(groups, party)
        found.append(party)
        if group is not None:
            found += [contacts.resolve(member) for member in group.members]
    return merged(found)


def _group(groups: Sequence[Group], who: str) -> Group | None:
    word = who.strip().lower()
    return next((group for group in groups if word in (group.id.lower(), group.address)), None)


def _quoted(contacts: Contacts, message: Message, body: str) -> str:
    head = [
        "---------- Forwarded message ----------",
        f"From: {contacts.shown(message.sender)}",
        f"Date: {message.at}",
        f"Subject: {message.subject}",
        f"To: {', '.join(contacts.shown(who) for who in message.to)}",
    ]
    return "\n".join([body.strip(), "", *head, "", message.body]).lstrip()


def _contacts(at: Slice) -> Contacts:
    settings = at.table(Settings)["settings"]
    return Contacts(at, address=settings.address, domains=settings.domains)


def _arrived(at: Slice) -> list[Message]:
    now = at.now
    return [message for message in at.table(Message).values() if message.at <= now]


def _in_thread(at: Slice, message: Message) -> list[Message]:
    rows = [other for other in _arrived(at) if other.thread == message.thread]
    return sorted(rows, key=lambda row: (row.at, row.id))


def _find(at: Slice, id: str) -> Message:
    message = at.table(Message).get(id.strip().removeprefix("mail://"))
    if message is None or message.at > at.now:
        newest = sorted(_arrived(at), key=lambda row: (row.at, row.id), reverse=True)
        raise ToolError("not_found", f"No message {id[:60]}.", offer=[row.id for row in newest])
    return message


def _several(at: Slice, ids: Sequence[str]) -> list[Message]:
    if not 1 <= len(ids) <= 50:
        raise ToolError("invalid_arguments", "Not a usable list of ids.", expected="1 to 50 ids", found=str(len(ids)))
    return list({message.id: message for message in (_find(at, id) for id in ids)}.values())


def _attachment(message: Message, name: str) -> Attachment:
    found = next((each for each in message.attachments if each.name == name.strip()), None)
    if found is None:
        raise ToolError(
            "not_found",
            f"{message.id} has no attachment {name[:80]}.",
            offer=[each.name for each in message.attachments],
        )
    return found


def _folders(at: Slice, messages: Iterable[Message]) -> list[str]:
    own = at.table(Settings)["settings"].folders
    return list(dict.fromkeys((*FOLDERS, *own, *merged(message.folder for message in messages))))


def _folder(at: Slice, name: str, messages: Iterable[Message]) -> str:
    known = _folders(at, messages)
    found = next((folder for folder in known if folder.lower() == name.strip().lower()), None)
    if found is None:
        raise ToolError("not_found", f"No folder {name[:60]}.", offer=known)
    return found


def _listed(at: Slice, rows: list[Message], page: int, uri: str) -> object:
    contacts = _contacts(at)
    rows.sort(key=lambda message: (message.at, message.id), reverse=True)
    found = paged(rows, page, ROWS)
    shown: list[Message] = found["items"]
    at.emit(
        "read", uri, fields=("from", "subject"), count=len(shown), covers=merged(_uri(message) for message in shown)
    )
    found["items"] = [_row(contacts, message) for message in shown]
    return found


def _row(contacts: Contacts, message: Message) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": message.id,
        "at": message.at,
        "from": contacts.shown(message.sender),
        "subject": cut_line(message.subject, 120),
        "folder": message.folder,
    }
    if contacts.own(message.sender):
        row["to"] = cut_line(", ".join(contacts.shown(who) for who in message.to), 120)
    if not message.read:
        row["unread"] = True
    if message.flagged:
        row["flagged"] = True
    if message.attachments:
        row["attachments"] = len(message.attachments)
    return row


def _headers(contacts: Contacts, message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": message.id,
        "thread": message.thread,
        "from": contacts.shown(message.sender),
        "to": [contacts.shown(who) for who in message.to],
    }
    if message.cc:
        found["cc"] = [contacts.shown(who) for who in message.cc]
    if message.bcc:
        found["bcc"] = [contacts.shown(who) for who in message.bcc]
    found |= {"subject": message.subject, "at": message.at, "folder": message.folder}
    if message.about:
        found["about"] = message.about
    return found


def _indexed(contacts: Contacts, message: Message) -> str:
    parties = " ".join(contacts.shown(who) for who in (message.sender, *message.to, *message.cc))
    names = " ".join(each.name for each in message.attachments)
    return f"{message.id} {message.subject} {message.body} {parties} {names}"


def _party_holds(contacts: Contacts, parties: Sequence[str], wanted: str) -> bool:
    word = _plain(wanted)
    if contacts.own(wanted):
        return any(contacts.own(party) for party in parties)
    return any(word in f"{contacts.name(party)} {contacts.shown(party)} {party}".lower() for party in parties)


def _notify(at: Slice, message: Message) -> None:
    shown = Contacts(at).shown(message.sender)
    at.notify(f"New message {message.id} from {shown}: {cut_line(message.subject, 120)}")


def _prefixed(prefix: str, subject: str) -> str:
    clean = subject.strip()
    return clean if clean.lower().startswith(prefix.lower() + ":") else f"{prefix}: {bare(clean)}"


def _plain(text: str) -> str:
    return text.strip().lower()


def _uri(message: Message) -> str:
    return f"mail://{message.id}"


def _attachment_uri(message: Message, attachment: Attachment) -> str:
    return f"mail://{message.id}/{attachment.name}"
