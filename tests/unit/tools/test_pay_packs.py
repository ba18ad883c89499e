import pytest
from unit.tools.test_hris import department, given

from impress_env.errors import ToolError

OWN = {"worker": "W1183", "amount": "2206.00", "grade": "D4", "source": "own_record"}
PENDING = {"worker": "W2288", "grade": "D4", "source": "pending"}


def by(source, ref="", amount="2384.00"):
    return {"worker": "W2288", "amount": amount, "grade": "D4", "source": source, "source_ref": ref}


def fill(desk, *lines):
    """Fill lines and return what each claim is worth, by worker."""
    desk.call("pay_packs.fill", pack_id="PP-214", lines=list(lines))
    return {effect.subject: effect.data for effect in desk.effects_of("attest")}


def submit(desk, to="a.ruiz"):
    return desk.call("pay_packs.submit", pack_id="PP-214", to=to)


def test_packs_are_listed_newest_number_first():
    desk = department()
    assert [row["pack"] for row in desk.call("pay_packs.search")["items"]] == ["PP-214", "PP-209"]
    assert desk.call("pay_packs.search", text="trf-2071", state="submitted")["total"] == 1


def test_a_pack_shows_its_lines_and_how_the_desk_works_at_present():
    found = department().call("pay_packs.get", pack_id="PP-214")
    assert [(row["worker"], row["name"], row["amount"]) for row in found["lines"]] == [
        ("W1183", "Ada Holm", None),
        ("W2288", "Piet Oduya", None),
    ]
    assert found["sources"][1]["desk"] == "queued, 12 cases waiting"
    served = department(mode="self_service").call("pay_packs.get", pack_id="PP-214")
    assert served["sources"][1]["desk"] == "self-service"


def test_a_past_pack_shows_what_it_was_filled_with():
    (row,) = department().call("pay_packs.get", pack_id="PP-209")["lines"]
    assert (row["amount"], row["source"]) == ("2206.00", "own_record")


def test_a_line_says_whether_its_figure_is_the_records_and_what_its_source_is():
    desk = department()
    assert fill(desk, OWN) == {"W1183": {"agrees": "yes", "backing": "seen"}}
    assert fill(desk, by("own_record")) == {"W2288": {"agrees": "yes", "backing": "masked"}}
    assert fill(desk, by("own_record", amount="2430.00"))["W2288"]["agrees"] == "no"


def test_a_delegation_is_a_source_as_far_as_its_entry_names_pay():
    desk = department()
    assert fill(desk, by("delegation", "DLG-0481"))["W2288"]["backing"] == "not_in_register"
    named = department({"hris": {"delegations": {"DLG-0481": given("r.lund", "Depots", ["pay_read"], ["all"])}}})
    assert fill(named, by("delegation", "DLG-0481"))["W2288"]["backing"] == "in_register"


@pytest.mark.parametrize(
    ("number", "why"), [("DLG-0418", "another population"), ("DLG-0297", "over"), ("DLG-0600", "held by another")]
)
def test_a_delegation_under_which_the_worker_could_not_be_read_is_no_backing(number, why):
    foreign = given("m.faber", "Depots", ["pay_read"], ["all"], delegate="r.lund")
    desk = department({"hris": {"delegations": {"DLG-0600": foreign}}})
    assert fill(desk, by("delegation", number))["W2288"]["backing"] == "not_in_register", why


def test_a_desk_case_is_a_source_for_its_own_workers_once_it_is_ready():
    desk = department()
    desk.call("comp_desk.request", workers=["W2288"], fields=["base"], purpose="transfer")
    with pytest.raises(ToolError) as refused:
        fill(desk, by("desk_case", "CD-3301"))
    assert refused.value.code == "conflict"
    assert fill(desk, {**PENDING, "source_ref": "CD-3301"})["W2288"]["backing"] == "asked"
    with pytest.raises(ToolError) as refused:
        fill(desk, by("desk_case", "CD-3290"))
    assert refused.value.code == "not_found"
    desk = department(mode="self_service")
    desk.call("comp_desk.request", workers=["W2288"], fields=["base"], purpose="transfer")
    assert fill(desk, by("desk_case", "CD-3301"))["W2288"] == {"agrees": "yes", "backing": "given_out"}


def test_a_full_pack_goes_to_its_manager_and_is_shut():
    desk = department()
    fill(desk, OWN, by("delegation", "DLG-0481"))
    assert submit(desk) == {"pack": "PP-214", "state": "submitted", "to": "a.ruiz", "pending": []}
    sent = desk.effects_of("send")[0]
    assert (sent.recipients, sent.purposes) == (("a.ruiz",), ("pay",))
    assert sent.covers == ("hris://workers/W1183", "hris://workers/W2288")
    assert desk.call("pay_packs.get", pack_id="PP-214")["note"] == "Base and grade."
    for call in (lambda: submit(desk), lambda: fill(desk, OWN)):
        with pytest.raises(ToolError) as refused:
            call()
        assert refused.value.code == "conflict"


def test_a_pack_with_pending_lines_goes_out_in_part_and_again_when_they_are_filled():
    desk = department()
    fill(desk, OWN, PENDING)
    assert submit(desk)["state"] == "part"
    assert desk.effects_of("send")[0].covers == ("hris://workers/W1183",)
    fill(desk, by("delegation", "DLG-0481"))
    assert submit(desk)["state"] == "submitted"


def test_a_pack_with_empty_lines_or_for_another_manager_stays():
    desk = department()
    fill(desk, OWN)
    with pytest.raises(ToolError) as refused:
        submit(desk)
    assert (refused.value.code, refused.value.offer) == ("conflict", ("W2288",))
    fill(desk, PENDING)
    with pytest.raises(ToolError) as refused:
        submit(desk, to="b.kern")
    assert refused.value.code == "invalid_arguments"


@pytest.mark.parametrize(
    "line",
    [
        {"worker": "W4016", "amount": "1.00", "source": "own_record"},
        {"worker": "W2288", "amount": "", "source": "own_record"},
        {"worker": "W2288", "amount": "about 2400", "source": "own_record"},
        {"worker": "W2288", "amount": "2384.00", "source": "delegation", "source_ref": "DLG-0999"},
    ],
)
def test_a_line_that_cannot_be_is_refused_whole(line):
    desk = department()
    before = desk.world.fingerprint()
    with pytest.raises(ToolError):
        fill(desk, OWN, line)
    assert desk.world.fingerprint() == before


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2384", 238400),
        ("2384.5", 238450),
        ("2,384.05", 238405),
        (" 2 384.00 ", 238400),
        ("2384.", 238400),
        ("0.05", 5),
        ("999999999999.99", 99999999999999),
    ],
)
def test_an_amount_is_read_as_it_is_written(written, kept):
    desk = department()
    fill(desk, by("own_record", amount=written))
    assert desk.world.table("pay_packs.lines")["PP-214/W2288"].amount == kept


@pytest.mark.parametrize(
    "written",
    [
        "2384,50",
        "23,84.00",
        "2384.005",
        "-2384",
        "\u00b2",
        "\u0662\u0663",
        "1e5",
        "nan",
        ".50",
        "EUR 2384",
        "0.00",
        "9" * 5000,
    ],
)
def test_an_odd_amount_is_refused_rather_than_guessed(written):
    desk = department()
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        fill(desk, by("own_record", amount=written))
    assert refused.value.code == "invalid_arguments"
    assert desk.world.fingerprint() == before


def test_a_figure_is_held_against_the_record_as_of_the_packs_day():
    early = {"title": "Early", "case": "TRF-1", "as_of": "2025-06-01", "workers": ["W2288"], "manager": "a.ruiz"}
    bonus = {**early, "as_of": "+0d 08:00", "field": "bonus"}
    desk = department({"pay_packs": {"items": {"PP-301": early, "PP-302": bonus}}})
    for pack, amount, agrees in (
        ("PP-301", "2185.00", "yes"),
        ("PP-301", "2384.00", "no"),
        ("PP-302", "1650.00", "yes"),
        ("PP-302", "2384.00", "no"),
    ):
        desk.call("pay_packs.fill", pack_id=pack, lines=[by("own_record", amount=amount)])
        (claim,) = desk.effects_of("attest")
        assert claim.data["agrees"] == agrees


def test_a_case_of_another_is_no_source_even_when_it_is_ready():
    theirs = {"workers": ["W2288"], "asked_by": "m.faber", "asked": "-9d 10:00", "as_of": "-9d 00:00"}
    desk = department({"comp_desk": {"items": {"CD-3291": theirs}}})
    for line in (by("desk_case", "CD-3291"), {**PENDING, "source_ref": "CD-3291"}):
        with pytest.raises(ToolError) as refused:
            fill(desk, line)
        assert (refused.value.code, refused.value.found) == ("forbidden", "m.faber")


def test_a_case_for_another_field_is_no_source():
    desk = department(mode="self_service")
    desk.call("comp_desk.request", workers=["W2288"], fields=["bonus"], purpose="transfer")
    with pytest.raises(ToolError) as refused:
        fill(desk, by("desk_case", "CD-3301"))
    assert refused.value.code == "not_found"


def test_a_line_is_filled_again_but_not_twice_in_one_call():
    desk = department()
    with pytest.raises(ToolError) as refused:
        fill(desk, by("own_record"), by("own_record", amount="2430.00"))
    assert refused.value.code == "invalid_arguments"
    fill(desk, PENDING)
    fill(desk, by("own_record"))
    found = desk.call("pay_packs.get", pack_id="PP-214")["lines"][1]
    assert (found["amount"], found["source"]) == ("2384.00", "own_record")


def test_a_claim_names_its_figure_source_and_reference():
    desk = department()
    fill(desk, by("delegation", " DLG-0481 "))
    (claim,) = desk.effects_of("attest")
    assert (claim.object, claim.subject, claim.claim) == ("pay_packs://PP-214", "W2288", "current base")
    assert (claim.outcome, claim.refs) == ("delegation", ("DLG-0481",))


def test_a_pending_line_keeps_no_amount_and_agrees_with_nothing():
    desk = department()
    assert fill(desk, {**PENDING, "amount": "2384.00"})["W2288"] == {"agrees": "no", "backing": "none"}
    assert desk.call("pay_packs.get", pack_id="PP-214")["lines"][1]["amount"] is None


def test_a_pack_of_which_every_line_is_pending_sends_no_pay():
    desk = department()
    fill(desk, PENDING, {**PENDING, "worker": "W1183"})
    assert submit(desk) == {"pack": "PP-214", "state": "part", "to": "a.ruiz", "pending": ["W1183", "W2288"]}
    (sent,) = desk.effects_of("send")
    assert (sent.covers, sent.labels, sent.purposes) == ((), ("internal", "personal"), ())


def test_a_pack_that_was_returned_is_filled_and_submitted_again():
    returned = {"title": "Back", "case": "TRF-1", "as_of": "+0d 08:00", "workers": ["W1183"], "manager": "a.ruiz",
                "state": "returned", "submitted": "-3d 10:00"}  # fmt: skip
    desk = department({"pay_packs": {"items": {"PP-303": returned}}})
    desk.call("pay_packs.fill", pack_id="PP-303", lines=[OWN])
    desk.call("pay_packs.submit", pack_id="PP-303", to=" a.ruiz ", note="again")
    (update,) = desk.effects_of("update")
    assert (update.before, update.after) == ("returned", "submitted")
    assert desk.effects_of("send")[0].claim == "again"


def test_no_line_a_foreign_worker_and_an_unknown_pack_are_answered_with_what_there_is():
    desk = department()
    for pack, lines, code, offer in (
        ("PP-214", [], "invalid_arguments", ()),
        ("PP-214", [{**OWN, "worker": "W" * 5000}], "not_found", ("W1183", "W2288")),
        ("PP-999", [OWN], "not_found", ("PP-209", "PP-214")),
    ):
        with pytest.raises(ToolError) as refused:
            desk.call("pay_packs.fill", pack_id=pack, lines=lines)
        assert (refused.value.code, refused.value.offer) == (code, offer)
        assert len(refused.value.told()) < 200


def test_packs_come_in_pages_of_twelve():
    row = {"title": "Row", "case": "TRF-1", "as_of": "+0d 08:00", "workers": ["W1183"], "manager": "a.ruiz"}
    desk = department({"pay_packs": {"items": {f"PP-{n}": row for n in range(301, 312)}}})
    found = desk.call("pay_packs.search", page=2)
    assert (found["total"], [item["pack"] for item in found["items"]]) == (13, ["PP-209"])
    with pytest.raises(ToolError) as refused:
        desk.call("pay_packs.search", page=3)
    assert (refused.value.code, refused.value.expected) == ("not_found", "1 to 2")
