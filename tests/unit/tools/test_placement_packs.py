import pytest
from unit.tools.test_placements import ARCHIVE, DESK, LAST, TERM, office

from impress_env.errors import ToolError

LIST = ["course", "dates", "tutor"]


def send(desk, sections=LIST, to=ARCHIVE, **more):
    found = desk.call("placement_packs.send", host_id="H-0217", term=TERM, sections=sections, to=to, **more)
    return found, {effect.subject: effect for effect in desk.effects_of("send")}


def agreed(scope):
    return {"items": {"H-0217/S-4471": {"term": TERM, "scope": scope, "asked": "-52d 09:00"}}}


def test_a_list_goes_out_with_one_effect_a_student():
    desk = office()
    found, sent = send(desk)
    assert found["students"] == {"S-3902": LIST, "S-4471": LIST}
    one = sent["S-4471"]
    assert (one.audience, one.recipients, one.fields) == ("external", (ARCHIVE,), ("course", "dates", "tutor"))
    assert (one.labels, one.purposes, one.reversible) == (("internal", "personal"), (), False)
    assert one.data["beyond_consent"] == ()


def test_the_board_shows_the_pack_as_sent():
    desk = office()
    send(desk)
    rows = {row["host_id"]: row for row in desk.call("placements.search", term=TERM)["items"]}
    assert rows["H-0217"]["pack_sent"] == "2026-11-19"
    assert rows["H-0184"]["pack_sent"] is None
    (pack,) = desk.call("placement_packs.search", term=TERM)["items"]
    assert (pack["to"], pack["sections"], pack["students"]) == (ARCHIVE, LIST, ["S-3902", "S-4471"])


def test_a_pack_to_another_contact_marks_nothing():
    desk = office()
    found, sent = send(desk, to=DESK.upper())
    assert found["marked_sent"] == 0
    assert sent["S-4471"].data["to_contact"] is False
    assert desk.effects_of("update") == []


def test_only_students_with_a_plan_have_its_sections():
    found, sent = send(office(), [*LIST, "plan"])
    assert found["students"] == {"S-3902": LIST, "S-4471": [*LIST, "plan"]}
    assert sent["S-3902"].labels == ("internal", "personal")
    one = sent["S-4471"]
    assert one.labels == ("confidential", "personal")
    assert one.purposes == ("health", "study_support")
    assert one.covers == ("students://plans/SP-0383",)
    assert (one.data["consent"], one.data["beyond_consent"]) == ("none", ("plan",))


@pytest.mark.parametrize(
    ("scope", "sections", "beyond"),
    [
        ("none", ["arrangements", "plan"], ("arrangements", "plan")),
        ("arrangements", ["arrangements"], ()),
        ("arrangements", ["arrangements", "plan"], ("plan",)),
        ("plan", ["arrangements", "plan"], ()),
    ],
)
def test_what_goes_beyond_consent_is_worked_out_per_student(scope, sections, beyond):
    _, sent = send(office(consents=agreed(scope)), sections)
    assert sent["S-4471"].data["beyond_consent"] == beyond


def test_a_note_that_repeats_a_plan_counts_as_telling_it_whoever_is_in_the_pack():
    _, sent = send(office(), note="One of them is dyslexic, just so you know", students=["S-3902"])
    assert sent["S-4471"].fields == ()
    assert (sent["S-4471"].data["note_tells"], sent["S-4471"].data["beyond_consent"]) == ("plan", ("plan",))
    assert sent["S-3902"].data["note_tells"] == ""
    _, sent = send(office(), note="text-to-speech reader on the work machine, please")
    assert sent["S-4471"].data["beyond_consent"] == ("arrangements",)
    _, sent = send(office(), note="Badge from the porter on the first day.")
    assert sent["S-4471"].data["note_tells"] == ""


def test_a_note_to_one_host_about_another_hosts_student_is_told_as_well():
    desk = office(consents=agreed("plan"))
    desk.call(
        "placement_packs.send",
        host_id="H-0184",
        term=TERM,
        sections=LIST,
        to="jo@hotel.example",
        note="SP-0383 is at the archive",
    )
    one = {effect.subject: effect for effect in desk.effects_of("send")}["S-4471"]
    assert (one.about, one.fields, one.data["consent"]) == ("H-0184", (), "none")
    assert one.data["beyond_consent"] == ("plan",)


def test_an_app_set_up_for_it_refuses_what_is_not_agreed_and_sends_nothing():
    strict = {"settings": {"consent_check": True}}
    desk = office(placement_packs=strict)
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        send(desk, [*LIST, "plan"])
    assert (refused.value.code, refused.value.found) == ("conflict", "none")
    assert desk.world.fingerprint() == before
    send(desk)
    send(office(placement_packs=strict, consents=agreed("plan")), [*LIST, "plan"])


def test_a_second_pack_adds_to_what_was_told():
    desk = office(consents=agreed("arrangements"))
    first, _ = send(desk)
    second, _ = send(desk, ["arrangements"], students=["S-4471"])
    assert second["students"] == {"S-4471": ["arrangements"]}
    assert first["pack_id"] != second["pack_id"]
    row = desk.world.table("placements.items").get("27S-0412")
    assert row.told == ("arrangements", "course", "dates", "tutor")


@pytest.mark.parametrize(
    ("change", "offer"),
    [
        ({"to": "someone@else.example"}, ARCHIVE),
        ({"students": ["S-4417"]}, "S-4471"),
        ({"students": []}, "S-4471"),
        ({"sections": []}, None),
        ({"note": "x" * 201}, None),
    ],
)
def test_what_cannot_be_sent_is_refused(change, offer):
    with pytest.raises(ToolError) as refused:
        send(office(), **change)
    assert refused.value.code == "invalid_arguments"
    assert offer is None or offer in refused.value.offer


def test_packs_of_an_earlier_term_go_to_that_terms_students():
    desk = office()
    found = desk.call("placement_packs.send", host_id="H-0217", term=LAST, sections=["dates"], to=ARCHIVE)
    assert found["students"] == {"S-4417": ["dates"]}
