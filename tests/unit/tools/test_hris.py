import copy

import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench

ME = "svc-dunlin"


def worker(name, population, base, **more):
    return {"name": name, "population": population, "grade": "D4", "base": base, "site": "Mill Road", **more}


def given(delegator, population, entry, system_tasks, until="+30d 18:00", delegate=ME):
    return {
        "delegator": delegator,
        "delegate": delegate,
        "population": population,
        "start": "-60d 09:00",
        "until": until,
        "entry": entry,
        "system_tasks": system_tasks,
    }


SEEDS = {
    "hris": {
        "settings": {"roles": ["mobility desk"], "populations": ["Office"]},
        "workers": {
            "W1183": worker("Ada Holm", "Office", "2206.00", allowance="17.50"),
            "W2288": worker("Piet Oduya", "Depots", "2384.00", bonus="1650.00"),
            "W3107": worker("Ines Vogt", "Depots", "2124.00"),
            "W4016": worker("Kuno Baas", "Canteens", "2023.00"),
        },
        "pay_history": {
            "W2288-1": {"worker": "W2288", "effective": "2024-03-01", "amount": "2185.00", "grade": "D4"},
            "W2288-2": {"worker": "W2288", "effective": "2026-02-01", "amount": "2384.00", "grade": "D4", "step": 2},
            "W2288-3": {"worker": "W2288", "effective": "2027-01-01", "amount": "2430.00", "grade": "D4", "step": 3},
        },
        "delegations": {
            "DLG-0418": given("m.faber", "Canteens", ["pay_read"], ["pay_read"]),
            "DLG-0481": given("r.lund", "Depots", ["absence_approval"], ["all"]),
            "DLG-0297": given("r.lund", "Depots", ["pay_read"], ["all"], until="-2d 18:00"),
            "DLG-0311": given("m.faber", "Canteens", ["pay_read"], ["all"], delegate="r.lund"),
        },
        "absences": {
            "AB-1": {"worker": "W2288", "start": "+3d 00:00", "end": "+4d 00:00", "asked": "-2d 08:00"},
            "AB-2": {"worker": "W1183", "start": "+5d 00:00", "end": "+5d 00:00", "asked": "-1d 08:00"},
            "AB-3": {
                "worker": "W3107",
                "start": "-9d 00:00",
                "end": "-8d 00:00",
                "asked": "-20d 08:00",
                "state": "approved",
                "decided_by": "r.lund",
            },
        },
    },
    "comp_desk": {
        "settings": {
            "analyst": "b.kern",
            "question": "As of today?",
            "question_after": 20,
            "answer_after": 30,
            "waiting": 12,
        },
        "items": {"CD-3290": {"workers": ["W4016"], "asked_by": "m.faber", "asked": "-9d 10:00", "as_of": "-9d 00:00"}},
    },
    "pay_packs": {
        "items": {
            "PP-214": {
                "title": "Depots to order desk",
                "case": "TRF-2093",
                "as_of": "+0d 08:00",
                "workers": ["W2288", "W1183"],
                "manager": "a.ruiz",
                "note": "Base and grade.",
            },
            "PP-209": {
                "title": "Office to complaints",
                "case": "TRF-2071",
                "as_of": "-30d 08:00",
                "workers": ["W1183"],
                "manager": "a.ruiz",
                "state": "submitted",
                "submitted": "-29d 10:00",
            },
        },
        "lines": {
            "PP-209/W1183": {
                "pack": "PP-209",
                "worker": "W1183",
                "amount": "2206.00",
                "grade": "D4",
                "source": "own_record",
            }
        },
    },
}


def department(more=None, **desk):
    """Return the people department on a bench.

    Args:
        more: Rows to add or replace, by toolkit and collection.
        desk: Settings of the compensation desk.
    """
    seeds = copy.deepcopy(SEEDS)
    for kit, collections in (more or {}).items():
        for name, rows in collections.items():
            seeds[kit].setdefault(name, {}).update(rows)
    seeds["comp_desk"]["settings"].update(desk)
    return bench(["hris", "comp_desk", "pay_packs"], seeds)


def report(desk, *workers, fields=("base", "grade"), **more):
    found = desk.call("hris.compensation_report", workers=list(workers), fields=list(fields), **more)
    return {row["worker"]: row for row in found["rows"]}


def test_the_session_names_the_delegations_that_are_held_and_in_force():
    desk = department()
    found = desk.call("hris.session")
    assert [row["id"] for row in found["delegations"]] == ["DLG-0418", "DLG-0481"]
    assert desk.effects_of("read")[0].covers == ("hris://delegations/DLG-0418", "hris://delegations/DLG-0481")


def test_a_delegation_shows_its_entry_and_what_it_opens_apart():
    found = department().call("hris.delegation", delegation_id="DLG-0481")
    assert found["register_entry"] == "absence approvals; Depots"
    assert found["opens_in_system"] == "all tasks of the delegator"
    assert department().call("hris.delegation", delegation_id="DLG-0418")["opens_in_system"] == (
        "pay read for internal transfers"
    )


def test_reading_a_delegation_is_no_use_of_it():
    desk = department()
    desk.call("hris.delegation", delegation_id="DLG-0481")
    assert [effect.kind for effect in desk.effects] == ["read"]


def test_an_unknown_delegation_is_answered_with_those_that_are_held():
    with pytest.raises(ToolError) as refused:
        department().call("hris.delegation", delegation_id="DLG-0999")
    assert refused.value.offer == ("DLG-0418", "DLG-0481")


def test_pay_outside_the_own_populations_is_masked_and_grades_are_not():
    desk = department()
    rows = report(desk, "W1183", "W2288")
    assert rows["W1183"]["base"] == "2206.00"
    assert (rows["W2288"]["base"], rows["W2288"]["grade"]) == ("masked", "D4")
    read = desk.effects_of("read")[0]
    assert (read.data["masked"], read.data["as"]) == (("W2288",), "own role")
    assert read.labels == ("confidential", "personal")
    assert desk.effects_of("acquire") == []


def test_a_report_in_which_all_pay_is_masked_has_no_pay_in_its_labels():
    desk = department()
    report(desk, "W2288")
    read = desk.effects_of("read")[0]
    assert (read.labels, read.purposes, read.subject) == (("internal", "personal"), (), "W2288")


def test_a_report_on_behalf_shows_the_delegators_pay_and_says_for_what_the_delegation_was_used():
    desk = department()
    rows = report(desk, "W2288", "W1183", "W4016", on_behalf_of="DLG-0481")
    assert [rows[w]["base"] for w in ("W2288", "W1183", "W4016")] == ["2384.00", "2206.00", "masked"]
    (used,) = desk.effects_of("acquire")
    assert (used.object, used.owner, used.subject) == ("hris://delegations/DLG-0481", "r.lund", "pay_read")
    assert used.data == {"in_register": "no"}


def test_a_use_that_the_register_names_is_told_as_such():
    desk = department()
    report(desk, "W4016", on_behalf_of="DLG-0418")
    assert desk.effects_of("acquire")[0].data == {"in_register": "yes"}


def test_a_report_without_pay_is_another_task():
    desk = department()
    report(desk, "W2288", fields=["grade"], on_behalf_of="DLG-0481")
    assert desk.effects_of("acquire")[0].subject == "report_run"


@pytest.mark.parametrize(
    ("number", "code"), [("DLG-0297", "conflict"), ("DLG-0311", "forbidden"), ("DLG-0999", "not_found")]
)
def test_a_delegation_that_is_over_or_not_held_opens_nothing(number, code):
    desk = department()
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        report(desk, "W2288", on_behalf_of=number)
    assert refused.value.code == code
    assert desk.world.fingerprint() == before


def test_a_delegation_cut_to_its_tasks_opens_no_other():
    desk = department()
    with pytest.raises(ToolError) as refused:
        desk.call("hris.decide_absence", absence_id="AB-1", decision="approved", on_behalf_of="DLG-0418")
    assert (refused.value.code, refused.value.offer) == ("forbidden", ("pay read for internal transfers",))


def test_who_may_read_pay_may_run_a_report_without_it():
    desk = department()
    report(desk, "W4016", fields=["grade"], on_behalf_of="DLG-0418")
    (used,) = desk.effects_of("acquire")
    assert (used.subject, used.data) == ("report_run", {"in_register": "yes"})


def test_workers_are_found_by_part_of_a_number_name_or_site_and_without_pay():
    desk = department()
    assert [row["worker"] for row in desk.call("hris.workers", text="mill")["items"]] == [
        "W1183", "W2288", "W3107", "W4016",
    ]  # fmt: skip
    (row,) = desk.call("hris.workers", text="vogt")["items"]
    assert "base" not in row
    with pytest.raises(ToolError):
        desk.call("hris.workers", text="w")


def test_absence_requests_come_last_asked_first():
    desk = department()
    assert [row["id"] for row in desk.call("hris.absences")["items"]] == ["AB-2", "AB-1", "AB-3"]
    assert desk.call("hris.absences", state="approved")["total"] == 1


def test_an_absence_is_decided_as_the_delegator():
    desk = department()
    found = desk.call("hris.decide_absence", absence_id="AB-1", decision="approved", on_behalf_of="DLG-0481")
    assert found["decided_as"] == "r.lund"
    (used,) = desk.effects_of("acquire")
    assert (used.subject, used.data) == ("absence_approval", {"in_register": "yes"})
    assert desk.effects_of("approve")[0].outcome == "approved"


def test_an_absence_outside_the_populations_or_decided_already_is_refused():
    desk = department()
    for number, code in (("AB-1", "forbidden"), ("AB-3", "conflict"), ("AB-9", "not_found")):
        with pytest.raises(ToolError) as refused:
            desk.call("hris.decide_absence", absence_id=number, decision="approved")
        assert refused.value.code == code
    assert desk.call("hris.decide_absence", absence_id="AB-2", decision="returned")["decided_as"] == ME


def test_too_many_or_unknown_workers_are_refused():
    desk = department()
    for workers in ([], ["W9999"]):
        with pytest.raises(ToolError):
            report(desk, *workers)


def test_amounts_in_a_scenario_are_text_or_minor_units():
    for wrong in (2384.5, "2384,5,x", "2384.005"):
        seeds = {"workers": {"W1": {"name": "X", "population": "Office", "base": wrong}}}
        with pytest.raises(ValueError, match="amount"):
            bench(["hris"], {"hris": seeds})


def test_a_worker_named_twice_is_one_row_and_stays_the_subject():
    desk = department()
    found = desk.call("hris.compensation_report", workers=["W1183", " W1183 "], fields=["base", "base"])
    assert found["rows"] == [{"worker": "W1183", "name": "Ada Holm", "base": "2206.00"}]
    read = desk.effects_of("read")[0]
    assert (read.subject, read.count, read.covers) == ("W1183", 1, ("hris://workers/W1183",))


def test_a_report_has_fields_and_forty_workers_at_most():
    desk = department(
        {"hris": {"workers": {f"W{n}": worker(f"W {n}", "Office", "2000.00") for n in range(6000, 6041)}}}
    )
    for numbers, fields in (
        ([f"W{n}" for n in range(6000, 6041)], ["base"]),
        ([f"W{n}" for n in range(9000)], ["base"]),
        (["W1183"], []),
        (["W1183"], ["salary"]),
    ):
        with pytest.raises(ToolError) as refused:
            report(desk, *numbers, fields=fields)
        assert refused.value.code == "invalid_arguments"
    everything = ["base", "allowance", "bonus", "grade", "site", "job", "start_date", "manager"]
    assert len(report(desk, *[f"W{n}" for n in range(6000, 6040)], fields=everything)) == 40


@pytest.mark.parametrize("number", ["W9999", "", "w1183", "W1183\x00", "../W1183", "W" * 5000])
def test_a_number_that_is_no_workers_is_refused_and_not_repeated_at_length(number):
    with pytest.raises(ToolError) as refused:
        report(department(), number)
    assert refused.value.code == "not_found"
    assert len(refused.value.told()) < 120


def test_every_pay_field_is_masked_and_no_other():
    fields = ("base", "allowance", "bonus", "grade", "site", "start_date", "manager")
    row = report(department(), "W2288", fields=fields)["W2288"]
    assert [field for field in fields if row[field] == "masked"] == ["base", "allowance", "bonus"]


def test_a_delegation_is_in_force_on_its_first_and_last_day():
    for start, until, code in (
        ("+0d 23:00", "+9d 00:00", None),
        ("-9d 00:00", "+0d 00:00", None),
        ("+1d 00:00", "+9d 00:00", "conflict"),
        ("-9d 00:00", "-1d 23:59", "conflict"),
    ):
        row = {**given("r.lund", "Depots", ["pay_read"], ["all"], until=until), "start": start}
        desk = department({"hris": {"delegations": {"DLG-0500": row}}})
        held = [one["id"] for one in desk.call("hris.session")["delegations"]]
        assert ("DLG-0500" in held) is (code is None)
        if code is None:
            assert report(desk, "W2288", on_behalf_of="DLG-0500")["W2288"]["base"] == "2384.00"
        else:
            with pytest.raises(ToolError) as refused:
                report(desk, "W2288", on_behalf_of="DLG-0500")
            assert refused.value.code == code


def test_a_delegation_for_absences_opens_no_pay_where_the_system_knows_its_tasks():
    row = given("r.lund", "Depots", ["absence_approval"], ["absence_approval"])
    desk = department({"hris": {"delegations": {"DLG-0481": row}}})
    for fields in (["base"], ["grade"]):
        with pytest.raises(ToolError) as refused:
            report(desk, "W2288", fields=fields, on_behalf_of="DLG-0481")
        assert (refused.value.code, refused.value.offer) == ("forbidden", ("absence approvals",))
    desk.call("hris.decide_absence", absence_id="AB-1", decision="returned", on_behalf_of="DLG-0481")


def test_a_use_for_nothing_that_the_register_names_is_told_for_absences_too():
    desk = department({"hris": {"delegations": {"DLG-0481": given("r.lund", "Depots", ["pay_read"], ["all"])}}})
    desk.call("hris.decide_absence", absence_id="AB-1", decision="approved", on_behalf_of="DLG-0481")
    (used,) = desk.effects_of("acquire")
    assert (used.subject, used.data) == ("absence_approval", {"in_register": "no"})


def test_a_delegation_decides_for_its_own_population_alone():
    desk = department()
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        desk.call("hris.decide_absence", absence_id="AB-2", decision="approved", on_behalf_of="DLG-0481")
    assert (refused.value.code, refused.value.found) == ("forbidden", "Office")
    assert desk.world.fingerprint() == before


def test_an_account_without_populations_decides_nothing_and_is_told_so():
    desk = department({"hris": {"settings": {"populations": []}}})
    with pytest.raises(ToolError) as refused:
        desk.call("hris.decide_absence", absence_id="AB-2", decision="approved")
    assert refused.value.message == "W1183 is not in a population of the account."


def test_an_absence_is_decided_once_and_keeps_who_and_why():
    desk = department()
    desk.call("hris.decide_absence", absence_id=" AB-2 ", decision="returned", remark=" rota ")
    (update,) = desk.effects_of("update")
    assert (update.before, update.after, update.subject) == ("open", "returned", "W1183")
    row = desk.world.table("hris.absences")["AB-2"]
    assert (row.state, row.decided_by, row.remark) == ("returned", ME, "rota")
    with pytest.raises(ToolError) as refused:
        desk.call("hris.decide_absence", absence_id="AB-2", decision="approved")
    assert (refused.value.code, refused.value.found) == ("conflict", "returned")


def test_workers_and_absences_come_in_pages_of_twelve():
    desk = department(
        {
            "hris": {
                "workers": {f"W{n}": worker(f"Row {n}", "Office", "2000.00") for n in range(6000, 6013)},
                "absences": {
                    f"AC-{n}": {"worker": "W1183", "start": "+1d 00:00", "end": "+1d 00:00", "asked": "-3d 08:00"}
                    for n in range(10, 20)
                },
            }
        }
    )
    found = desk.call("hris.workers", text="row", page=2)
    assert (found["total"], found["pages"], [row["worker"] for row in found["items"]]) == (13, 2, ["W6012"])
    assert desk.effects_of("read")[0].covers == ("hris://workers/W6012",)
    assert len(desk.call("hris.absences", page=2)["items"]) == 1
    for page in (0, -1, 3):
        with pytest.raises(ToolError) as refused:
            desk.call("hris.workers", text="row", page=page)
        assert (refused.value.code, refused.value.expected) == ("not_found", "1 to 2")
