from typing import Any

import pytest
from pydantic import ValidationError
from unit.tools.office_world import BUYER, IMKE, JANA, OWN, PEOPLE, TOMO, deliver, office, refused

from impress_env.testing.bench import Bench
from impress_env.tool import toolkit

SECTION: dict[str, Any] = {
    "channels": {
        "platform": {"topic": "on call, boards", "members": [IMKE.id, TOMO.id]},
        "velling-swap": {"topic": "with the customer", "members": [IMKE.id, BUYER.id], "external": True},
        "leads": {"members": [IMKE.id, JANA.id], "private": True},
        "2025": {"archived": True},
    },
    "items": {"P-77": {"channel": "platform", "from": TOMO.id, "at": "-2d 09:07", "text": "who has the rota page?"}},
    "messages": [
        {"channel": "#platform", "from": IMKE.id, "at": "-1d 09:07", "text": "board is up, @svc-dunlin please"},
        {"channel": "#platform", "from": "me", "at": "-1d 09:12", "text": "on it"},
        {"channel": "#lunch", "from": JANA.id, "at": "-1d 11:40", "text": "soup"},
        {"channel": "leads", "from": JANA.id, "at": "-1d 12:00", "text": "board numbers"},
        {"channel": f"@{JANA.id}", "from": JANA.id, "at": "-3d 10:00", "text": "thanks for the list"},
        {"channel": "#platform", "from": TOMO.id, "at": "14:30", "text": "@me node 3 is back", "labels": ["internal"]},
    ],
}
FILES = {"items": [{"path": "/out/plan.csv", "text": "a,b\n", "labels": ["confidential"], "purposes": ["swap"]}]}


def room(people=PEOPLE) -> Bench:
    return office(("chat", "files"), people=people, chat=SECTION, files=FILES)


def texts(desk: Bench, tool: str, **arguments: Any) -> list[str]:
    return [row["text"] for row in desk.call(tool, **arguments)["items"]]


def test_channels_are_listed_by_their_newest_post_and_unknown_ones_made():
    desk = room()
    rows = desk.call("chat.channels")["items"]
    assert [row["channel"] for row in rows] == ["#lunch", "#platform", f"@{JANA.id}", "#2025", "#velling-swap"]
    assert rows[1] == {"channel": "#platform", "topic": "on call, boards", "posts": 3, "newest": "2026-11-18T09:12"}
    assert desk.effects_of("read")[0].count == 5
    assert [row["channel"] for row in desk.call("chat.channels", text="#velling")["items"]] == ["#velling-swap"]


def test_a_private_channel_is_not_there_for_others():
    desk = room()
    assert refused(desk, "chat.history", channel="leads").code == "not_found"
    assert texts(desk, "chat.search", text="numbers") == []
    section = {**SECTION, "channels": {"leads": {"members": ["svc-dunlin"], "private": True}}}
    assert texts(office(("chat",), chat=section), "chat.history", channel="leads") == ["board numbers"]


def test_history_pages_back_from_the_newest():
    posts = [
        {"channel": "log", "from": TOMO.id, "at": f"-1d {n // 60:02d}:{n % 60:02d}", "text": str(n)} for n in range(45)
    ]
    desk = office(("chat",), chat={"messages": posts})
    first = desk.call("chat.history", channel="#log")
    assert [row["text"] for row in first["items"]] == [str(n) for n in range(25, 45)]
    assert (first["pages"], first["total"]) == (3, 45)
    assert texts(desk, "chat.history", channel="log", page=3) == [str(n) for n in range(5)]
    (read,) = desk.effects_of("read")
    assert (read.object, read.count, read.covers[0]) == ("chat://log", 5, "chat://log/P-0001")
    assert texts(desk, "chat.history", channel="log", since="2026-11-18T00:40", before="2026-11-18T00:42") == [
        "40",
        "41",
    ]


def test_long_posts_are_cut_to_equal_lengths_and_read_whole_alone():
    posts = [{"channel": "log", "from": TOMO.id, "at": f"-1d 10:0{n}", "text": f"{n}" * 5_000} for n in range(4)]
    desk = office(("chat",), chat={"messages": posts})
    rows = desk.call("chat.history", channel="log")["items"]
    assert [row["text"] for row in rows] == [f"{n}" * 2_250 + "… [5000 characters]" for n in range(4)]
    assert texts(desk, "chat.thread", id="P-0001") == ["0" * 5_000]


def test_what_is_dated_later_appears_then_and_mentions_are_told():
    desk = room()
    assert texts(desk, "chat.history", channel="platform")[-1] == "on it"
    desk.pass_time(10)
    assert [notice.text for notice in desk.world.take_notices()] == [f"#platform P-0006 {TOMO.id}: @me node 3 is back"]
    assert texts(desk, "chat.mentions") == ["@me node 3 is back", "board is up, @svc-dunlin please"]
    assert desk.effects_of("read")[0].labels == ("internal",)


def test_search_knows_words_channel_author_and_time():
    desk = room()
    assert texts(desk, "chat.search", text="rota PAGE") == ["who has the rota page?"]
    assert texts(desk, "chat.search", text="", channel="lunch") == ["soup"]
    assert texts(desk, "chat.search", text="", **{"from": "me"}) == ["on it"]
    assert texts(desk, "chat.search", text="", since="2026-11-18T10:00") == ["soup"]


def test_a_post_says_whom_it_reached():
    desk = room()
    result = desk.call(
        "chat.post",
        channel="#platform",
        text=f"@{IMKE.id}: CHG-20418 is done",
        reply_to="P-77",
        files=["/out/plan.csv"],
    )
    assert result == {
        "id": "P-0007",
        "channel": "#platform",
        "at": "2026-11-19T14:23",
        "mentions": [IMKE.id],
        "files": ["/out/plan.csv"],
    }
    (send,) = desk.effects_of("send")
    assert (send.object, send.recipients, send.audience) == ("chat://platform/P-0007", (IMKE.id,), "org")
    assert (send.labels, send.purposes) == (("confidential",), ("swap",))
    assert send.covers == ("chat://platform", "files:///out/plan.csv")
    assert (send.about, send.refs) == ("CHG-20418", ("CHG-20418",))
    assert send.data == {"channel": "platform", "members": (IMKE.id, TOMO.id), "answers": "P-77"}
    assert texts(desk, "chat.thread", id="P-0007")[0] == "who has the rota page?"


@pytest.mark.parametrize(
    ("channel", "audience"), [("platform", "team"), ("lunch", "org"), ("velling-swap", "external")]
)
def test_the_audience_is_who_can_read_it(channel, audience):
    desk = room((*PEOPLE, OWN))
    desk.call("chat.post", channel=channel, text="hello")
    assert desk.effects_of("send")[0].audience == audience
    assert desk.effects_of("send")[0].recipients == ()


def test_everybody_in_a_channel_can_be_mentioned():
    desk = room()
    desk.call("chat.post", channel="platform", text="@channel board is clear, see a@b.example")
    assert desk.effects_of("send")[0].recipients == (IMKE.id, TOMO.id)


@pytest.mark.parametrize(("to", "audience"), [(JANA.id, "org"), ("Hanne Krog", "external")])
def test_a_direct_message_reaches_one_person(to, audience):
    desk = room()
    result = desk.call("chat.direct", to=to, text="can you look at T-12?")
    (send,) = desk.effects_of("send")
    assert (send.audience, send.about, len(send.recipients)) == (audience, "T-12", 1)
    assert texts(desk, "chat.history", channel=result["channel"])[-1] == "can you look at T-12?"


def test_an_answer_comes_where_the_agent_wrote():
    desk = room()
    desk.call("chat.post", channel="platform", text=f"@{IMKE.id} is CHG-1 ours?")
    asked = desk.effects_of("send")[0].object
    assert deliver(desk, "chat", **{"from": IMKE.id, "text": "yes", "about": "CHG-1", "thread": asked}) == [
        f"#platform P-0008 {IMKE.id}: yes"
    ]
    answer = desk.world.row("chat.items", "P-0008")
    assert (answer.channel, answer.reply_to, answer.mentions) == ("platform", "P-0007", ("svc-dunlin",))
    desk.call("chat.direct", to=TOMO.id, text="and you?")
    asked = desk.effects_of("send")[0].object
    assert deliver(desk, "chat", **{"from": TOMO.id, "text": "no", "about": "", "thread": asked}) == [
        f"P-0010 {TOMO.id}: no"
    ]
    assert texts(desk, "chat.history", channel=f"@{TOMO.id}") == ["and you?", "no"]


def test_members_are_shown_with_their_addresses():
    desk = room()
    assert desk.call("chat.members", channel="velling-swap")["members"] == [
        "Hanne Krog <hk@velling.example>",
        "Imke Raad <imke.raad@brightline.example>",
    ]


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("chat.history", {"channel": "plattform"}, "not_found"),
        ("chat.history", {"channel": f"@{TOMO.id}"}, "not_found"),
        ("chat.post", {"channel": "platform", "text": " "}, "invalid_arguments"),
        ("chat.post", {"channel": "platform", "text": "x" * 6_001}, "too_large"),
        ("chat.post", {"channel": "2025", "text": "x"}, "conflict"),
        ("chat.post", {"channel": "lunch", "text": "x", "reply_to": "P-77"}, "conflict"),
        ("chat.post", {"channel": "lunch", "text": "x", "reply_to": "P-9"}, "not_found"),
        ("chat.post", {"channel": "lunch", "text": "x", "files": ["/no"]}, "not_found"),
        ("chat.direct", {"to": "nobody", "text": "x"}, "not_found"),
        ("chat.thread", {"id": "P-0006"}, "not_found"),
        ("chat.search", {"text": "", "from": "nobody"}, "not_found"),
    ],
)
def test_bad_calls_are_refused(tool, arguments, code):
    assert refused(room(), tool, **arguments).code == code


def test_one_does_not_write_to_oneself():
    assert refused(room((*PEOPLE, OWN)), "chat.direct", to=OWN.id, text="x").code == "conflict"


@pytest.mark.parametrize(
    "section",
    [
        {"channels": {"#platform": {}}},
        {"channels": {"Platform": {}}},
        {"messages": [{"channel": "", "from": "a", "at": "09:00", "text": "x"}]},
        {"messages": [{"channel": "a", "at": "09:00", "text": "x"}]},
    ],
)
def test_wrong_sections_are_refused(section):
    with pytest.raises(ValidationError):
        toolkit("chat").seed.model_validate(section)
