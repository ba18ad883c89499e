from typing import Any

import pytest
from pydantic import ValidationError
from unit.tools.office_world import BUYER, IMKE, JANA, OWN, PEOPLE, TOMO, deliver, office, refused

from impress_env.testing.bench import Bench
from impress_env.tool import toolkit

SECTION: dict[str, Any] = {
    "settings": {"folders": ["changes"]},
    "groups": {"change-review": {"address": "change-review@brightline.example", "members": [JANA.id, IMKE.id]}},
    "items": {
        "M-77": {
            "from": BUYER.id,
            "to": ["me"],
            "cc": [JANA.id],
            "subject": "Terminal swap, site list",
            "at": "-2d 10:11",
            "body": "List attached, two sites moved.",
            "labels": ["confidential"],
            "attachments": [
                {"name": "sites.csv", "text": "site,terminals\nKaai,4\n", "labels": ["personal"], "purposes": ["swap"]}
            ],
        },
    },
    "messages": [
        {"from": IMKE.id, "subject": "Board", "at": "-9d 09:30", "body": "Four groups open on CHG-20418, usual drill."},
        {"from": "me", "to": [IMKE.id], "subject": "Re: Board", "at": "-9d 11:02", "body": "On it."},
        {"from": "facilities@brightline.example", "subject": "Lift B out", "at": "09:15", "body": "Until noon."},
        {"from": "news@vendor.example", "subject": "Release 2.9", "at": "-40d 06:00", "body": "x " * 9_000},
        {"from": JANA.id, "subject": "RE: board", "at": "14:40", "body": "CHG-20418 has staging only."},
    ],
}
FILES = {
    "items": [
        {"path": "/out/plan.csv", "text": "a,b\n", "labels": ["confidential"], "purposes": ["swap"]},
        {"path": "/out/ids.csv", "text": "id\n", "labels": ["personal"]},
        {"path": "/staff/pay.csv", "text": "x\n", "owner": "people-desk", "mode": "600"},
    ]
}


def mailbox(people=PEOPLE) -> Bench:
    return office(("mail", "files"), people=people, mail=SECTION, files=FILES)


def ids(desk: Bench, **arguments: Any) -> list[str]:
    return [row["id"] for row in desk.call("mail.search", **arguments)["items"]]


def test_the_inbox_is_newest_first_and_shows_headers_only():
    desk = mailbox()
    rows = desk.call("mail.inbox")["items"]
    assert [row["id"] for row in rows] == ["M-0004", "M-77", "M-0002", "M-0001"]
    assert rows[0] == {
        "id": "M-0004",
        "at": "2026-11-19T09:15",
        "from": "facilities@brightline.example",
        "subject": "Lift B out",
        "folder": "inbox",
        "unread": True,
    }
    assert rows[1]["from"] == "Hanne Krog <hk@velling.example>"
    assert rows[1]["attachments"] == 1
    (read,) = desk.effects_of("read")
    assert (read.object, read.count, read.fields) == ("mail://inbox", 4, ("from", "subject"))
    assert "mail://M-77" in read.covers
    assert read.labels == ()


def test_folders_are_counted():
    desk = mailbox()
    counts = {row["folder"]: (row["messages"], row["unread"]) for row in desk.call("mail.folders")}
    assert counts == {"inbox": (4, 1), "sent": (1, 0), "archive": (0, 0), "trash": (0, 0), "changes": (0, 0)}
    assert refused(desk, "mail.inbox", folder="outbox").offer == ("inbox", "sent", "archive", "trash", "changes")


def test_what_is_dated_later_arrives_then_and_is_told():
    desk = mailbox()
    assert refused(desk, "mail.read", id="M-0005").code == "not_found"
    assert "M-0005" not in ids(desk, text="staging")
    desk.pass_time(30)
    assert [notice.text for notice in desk.world.take_notices()] == [
        "New message M-0005 from Jana Holub <jana.holub@brightline.example>: RE: board"
    ]
    assert ids(desk, text="staging") == ["M-0005"]
    assert [row["id"] for row in desk.call("mail.thread", id="M-0005")["items"]] == ["M-0002", "M-0003", "M-0005"]


def test_reading_a_message_marks_it_and_names_labels():
    desk = mailbox()
    desk.call("mail.mark", ids=["M-77"], **{"as": "unread"})
    result = desk.call("mail.read", id="M-77")
    assert result["to"] == ["svc-dunlin@brightline.example"]
    assert result["cc"] == ["Jana Holub <jana.holub@brightline.example>"]
    assert result["attachments"] == [{"name": "sites.csv", "characters": 22}]
    (read,) = desk.effects_of("read")
    assert (read.object, read.owner, read.labels) == ("mail://M-77", BUYER.id, ("confidential",))
    assert desk.world.row("mail.items", "M-77").read is True


def test_a_long_body_is_read_in_parts():
    desk = mailbox()
    part = desk.call("mail.read", id="M-0001")
    body = part["body"]
    while "next_offset" in part:
        part = desk.call("mail.read", id="M-0001", offset=part["next_offset"])
        body += part["body"]
    assert body == ("x " * 9_000).strip()


def test_a_conversation_is_read_whole():
    desk = mailbox()
    assert desk.call("mail.read", id="M-0003")["others_in_thread"] == ["M-0002"]
    result = desk.call("mail.thread", id="M-0003")
    assert [row["body"] for row in result["items"]] == ["Four groups open on CHG-20418, usual drill.", "On it."]
    (read,) = desk.effects_of("read")
    assert (read.object, read.covers) == ("mail://threads/M-0002", ("mail://M-0002", "mail://M-0003"))


def test_search_looks_at_text_parties_subject_time_and_attachments():
    desk = mailbox()
    assert ids(desk, text="sites.csv") == ["M-77"]
    assert ids(desk, text="groups drill") == ["M-0002"]
    assert ids(desk, **{"from": "hanne"}) == ["M-77"]
    assert ids(desk, **{"from": "me"}) == ["M-0003"]
    assert ids(desk, to="jana") == ["M-77"]
    assert ids(desk, subject="board") == ["M-0003", "M-0002"]
    assert ids(desk, since="2026-11-15", until="2026-11-17") == ["M-77"]
    assert ids(desk, has_attachment=True) == ["M-77"]
    assert ids(desk, folder="sent") == ["M-0003"]
    assert refused(desk, "mail.search", since="yesterday").code == "invalid_arguments"


def test_an_attachment_is_opened_and_saved_with_its_labels():
    desk = mailbox()
    assert desk.call("mail.attachment", id="M-77", name="sites.csv")["text"].startswith("site,terminals")
    (read,) = desk.effects_of("read")
    assert (read.object, read.labels, read.purposes) == ("mail://M-77/sites.csv", ("personal",), ("swap",))
    assert desk.call("mail.save_attachment", id="M-77", name="sites.csv", path="/swap/")["path"] == "/swap/sites.csv"
    (create,) = desk.effects_of("create")
    assert (create.labels, create.refs) == (("personal",), ("mail://M-77/sites.csv",))
    assert desk.world.row("files", "/swap/sites.csv").purposes == ("swap",)
    assert refused(desk, "mail.save_attachment", id="M-77", name="sites.csv", path="/swap/").code == "conflict"
    assert refused(desk, "mail.attachment", id="M-77", name="other.csv").offer == ("sites.csv",)


def test_sending_says_whom_and_what_it_reached():
    desk = mailbox()
    result = desk.call(
        "mail.send",
        to=["Jana Holub", "hk@velling.example"],
        cc=["IMKE.raad@brightline.example", "jana.holub"],
        subject="Plan for CHG-20418",
        body="Attached.",
        attachments=["/out/plan.csv", "/out/ids.csv", "/out/plan.csv"],
    )
    assert result["id"] == "M-0006"
    assert result["attachments"] == ["plan.csv", "ids.csv"]
    (send,) = desk.effects_of("send")
    assert send.object == "mail://M-0006"
    assert send.recipients == (BUYER.id, IMKE.id, JANA.id)
    assert send.audience == "external"
    assert (send.labels, send.purposes) == (("confidential", "personal"), ("swap",))
    assert send.covers == ("files:///out/ids.csv", "files:///out/plan.csv")
    assert (send.about, send.refs, send.subject, send.claim) == (
        "CHG-20418",
        ("CHG-20418",),
        "Plan for CHG-20418",
        "Attached.",
    )
    assert send.data == {"to": (BUYER.id, JANA.id), "cc": (IMKE.id,)}
    kept = desk.world.row("mail.items", "M-0006")
    assert (kept.folder, kept.sender, kept.attachments[1].source) == ("sent", "svc-dunlin", "files:///out/ids.csv")


@pytest.mark.parametrize(
    ("to", "audience"),
    [
        (["svc-dunlin"], "self"),
        (["me"], "self"),
        ([IMKE.id], "team"),
        ([IMKE.id, TOMO.id], "team"),
        ([IMKE.id, JANA.id], "org"),
        (["caretaker@brightline.example"], "org"),
        (["rota@ops.brightline.example"], "org"),
        (["change-review"], "org"),
        (["someone@elsewhere.example"], "external"),
        ([IMKE.id, BUYER.email], "external"),
    ],
)
def test_the_audience_is_the_widest_circle(to, audience):
    desk = mailbox((*PEOPLE, OWN))
    desk.call("mail.send", to=to, subject="x", body="y")
    assert desk.effects_of("send")[0].audience == audience


def test_a_distribution_list_reaches_its_members():
    desk = mailbox()
    desk.call("mail.send", to=["change-review"], subject="Minutes", body="See below.")
    (send,) = desk.effects_of("send")
    assert send.recipients == ("change-review@brightline.example", IMKE.id, JANA.id)
    assert send.data == {"to": ("change-review@brightline.example",)}


def test_mail_to_oneself_comes_into_the_inbox():
    desk = mailbox()
    desk.call("mail.send", to=["me"], subject="later", body="count again")
    assert desk.call("mail.inbox")["items"][0]["subject"] == "later"
    assert desk.effects_of("read")[0].count == 5


def test_an_answer_goes_to_the_sender_within_the_conversation():
    desk = mailbox()
    desk.call("mail.reply", id="M-77", body="Thanks.")
    (send,) = desk.effects_of("send")
    assert (send.recipients, send.subject, send.labels) == ((BUYER.id,), "Re: Terminal swap, site list", ())
    assert send.data["answers"] == "mail://M-77"
    assert desk.world.row("mail.items", "M-0006").thread == "M-77"
    desk.call("mail.reply", id="M-77", body="To all.", all=True)
    assert desk.effects_of("send")[0].recipients == (BUYER.id, JANA.id)
    desk.call("mail.reply", id="M-0003", body="One more thing.")
    assert desk.effects_of("send")[0].recipients == (IMKE.id,)


def test_forwarding_carries_the_labels_of_what_is_passed_on():
    desk = mailbox()
    desk.call("mail.forward", id="M-77", to=["x@elsewhere.example"], body="fyi", attachments=["/out/plan.csv"])
    (send,) = desk.effects_of("send")
    assert (send.audience, send.labels) == ("external", ("confidential", "personal"))
    assert send.covers == ("files:///out/plan.csv", "mail://M-77", "mail://M-77/sites.csv")
    assert send.claim == "fyi"
    kept = desk.world.row("mail.items", "M-0006")
    assert "two sites moved" in kept.body
    assert [each.name for each in kept.attachments] == ["sites.csv", "plan.csv"]
    desk.call("mail.forward", id="M-77", to=[JANA.id], with_attachments=False)
    assert desk.effects_of("send")[0].covers == ("mail://M-77",)


def test_the_record_that_a_message_is_about_is_only_guessed_where_it_is_one():
    desk = mailbox()

    def topic(**more: str) -> str:
        desk.call("mail.send", to=[JANA.id], **{"subject": "Hi", "body": "b", **more})
        return desk.effects_of("send")[0].about

    assert topic(body="on CHG-1 and CHG-2") == ""
    assert topic(subject="CHG-1", body="as CHG-2 was") == "CHG-1"
    assert topic(body="build 4.2.0 from 10.0.3.17 at 03:12") == "4.2.0"
    assert topic(body="CHG-1", about="T-9") == "T-9"
    sent = desk.effects_of("send")[0].object
    assert [f"mail://{id}" for id in ids(desk, about="t-9")] == [sent]


def test_messages_are_moved_and_marked_one_effect_each():
    desk = mailbox()
    desk.call("mail.move", ids=["M-77", "M-0004", "M-77"], folder="Changes")
    assert [(e.object, e.before, e.after) for e in desk.effects_of("update")] == [
        ("mail://M-77", "inbox", "changes"),
        ("mail://M-0004", "inbox", "changes"),
    ]
    desk.call("mail.move", ids=["M-77"], folder="trash")
    assert desk.effects_of("delete")[0].reversible is True
    assert "M-77" not in ids(desk)
    assert ids(desk, folder="trash") == ["M-77"]
    desk.call("mail.mark", ids=["M-0002"], **{"as": "flagged"})
    assert desk.effects_of("update")[0].fields == ("flagged",)
    assert [row["id"] for row in desk.call("mail.inbox", flagged=True)["items"]] == ["M-0002"]
    assert refused(desk, "mail.move", ids=["M-77"], folder="Swap 2026").code == "not_found"
    desk.call("mail.move", ids=["M-77"], folder="Swap 2026", create=True)
    assert desk.call("mail.inbox", folder="swap 2026")["total"] == 1


def test_an_answer_lies_in_the_inbox_and_is_told_by_its_headers():
    desk = mailbox()
    desk.call("mail.send", to=[JANA.id], subject="CHG-20418", body="Does it cover prod-eu?")
    asked = desk.effects_of("send")[0]
    told = deliver(
        desk, "mail", **{"from": JANA.id, "text": "staging only.", "about": "CHG-20418", "thread": asked.object}
    )
    assert told == ["New message M-0007 from Jana Holub <jana.holub@brightline.example>: Re: CHG-20418"]
    answer = desk.call("mail.read", id="M-0007")
    assert (answer["body"], answer["thread"], answer["to"]) == (
        "staging only.",
        "M-0006",
        ["svc-dunlin@brightline.example"],
    )
    assert answer["about"] == "CHG-20418"


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("mail.send", {"to": [], "subject": "x", "body": "y"}, "invalid_arguments"),
        ("mail.send", {"to": ["nobody"], "subject": "x", "body": "y"}, "not_found"),
        ("mail.send", {"to": [IMKE.id], "subject": "", "body": " "}, "invalid_arguments"),
        ("mail.send", {"to": [IMKE.id], "subject": "a\nBcc: x", "body": "y"}, "invalid_arguments"),
        ("mail.send", {"to": [IMKE.id], "subject": "x", "body": "y" * 30_001}, "too_large"),
        ("mail.send", {"to": [f"p{n}@a.example" for n in range(51)], "subject": "x", "body": "y"}, "too_large"),
        ("mail.send", {"to": [IMKE.id], "subject": "x", "body": "y", "attachments": ["/no.csv"]}, "not_found"),
        ("mail.send", {"to": [IMKE.id], "subject": "x", "body": "y", "attachments": ["/staff/pay.csv"]}, "forbidden"),
        ("mail.send", {"to": [IMKE.id], "subject": "x", "body": "y", "attachments": ["/a"] * 21}, "too_large"),
        ("mail.reply", {"id": "M-77", "body": " "}, "invalid_arguments"),
        ("mail.reply", {"id": "M-9", "body": "x"}, "not_found"),
        ("mail.forward", {"id": "M-77", "to": []}, "invalid_arguments"),
        ("mail.read", {"id": "M-77", "offset": 10_000}, "invalid_arguments"),
        ("mail.move", {"ids": [], "folder": "archive"}, "invalid_arguments"),
        ("mail.move", {"ids": ["M-77"], "folder": "../x", "create": True}, "invalid_arguments"),
        ("mail.mark", {"ids": ["M-9"], "as": "read"}, "not_found"),
        ("mail.mark", {"ids": ["M-77"], "as": "seen"}, "invalid_arguments"),
    ],
)
def test_bad_calls_are_refused(tool, arguments, code):
    assert refused(mailbox(), tool, **arguments).code == code


def test_the_address_can_be_given():
    desk = office(("mail",), mail={"settings": {"address": "desk@brightline.example"}, "messages": []})
    desk.call("mail.send", to=["desk@brightline.example"], subject="x", body="y")
    assert desk.effects_of("send")[0].audience == "self"
    assert desk.call("mail.inbox")["items"][0]["from"] == "desk@brightline.example"


@pytest.mark.parametrize(
    "section",
    [
        {"messages": [{"subject": "x", "at": "09:00"}]},
        {"messages": [{"from": "", "at": "09:00"}]},
        {"messages": [{"from": "a", "at": "09:00", "colour": "red"}]},
        {"items": {"M-1": {"from": "a", "at": "09:00", "attachments": [{"name": "a/b", "text": ""}]}}},
    ],
)
def test_wrong_messages_in_a_scenario_are_refused(section):
    with pytest.raises(ValidationError):
        toolkit("mail").seed.model_validate(section)
