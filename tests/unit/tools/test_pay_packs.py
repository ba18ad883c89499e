import pytest
from unit.tools.test_hris import department

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
    assert fill(desk, by("delegation", "DLG-0418"))["W2288"]["backing"] == "in_register"


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
