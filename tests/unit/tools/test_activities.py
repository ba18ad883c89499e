import pytest
from unit.tools.sales_world import ODA, PELLE, office, seeds

from impress_env.errors import ToolError
from impress_env.testing.bench import bench


def test_the_log_is_newest_first_and_names_what_was_read():
    desk = office()
    rows = desk.call("activities.search", opportunity_id="OP-3319")["items"]
    assert [row["activity_id"] for row in rows] == ["ACT-50240", "ACT-50233", "ACT-50231"]
    (read,) = desk.effects_of("read")
    assert read.covers == ("activities://ACT-50231", "activities://ACT-50233", "activities://ACT-50240")
    assert read.data["senders"] == ("hk@velling.example", ODA.id)


@pytest.mark.parametrize("owner", [ODA, PELLE])
def test_the_owner_signs_the_mail(owner):
    row = office(owner=owner.id).call("activities.get", activity_id="ACT-50233")
    assert row["from"] == f"{owner.name} <{owner.email}>"
    assert row["text"].endswith(owner.first)


def test_the_log_can_be_narrowed():
    desk = office()
    narrowed = {"kind": "email", "from": "2026-09-14", "to": "2026-09-30", "order": "oldest_first"}
    rows = desk.call("activities.search", opportunity_id="OP-3319", **narrowed)["items"]
    assert [row["activity_id"] for row in rows] == ["ACT-50233"]
    assert desk.call("activities.search", opportunity_id="OP-3319", text="dear oda")["total"] == 1


def test_an_entry_is_logged_under_the_agents_account():
    desk = office()
    number = desk.call("activities.create", opportunity_id="OP-3304", kind="note", subject="Call", text="Rang twice.")[
        "activity_id"
    ]
    assert desk.call("activities.get", activity_id=number)["from"] == "svc-dunlin"


def test_an_archived_entry_leaves_the_log_and_stays_in_the_table():
    desk = office()
    desk.call("activities.archive", activity_id="ACT-50233", reason="private")
    assert desk.effects_of("delete")[0].reason == "private"
    with pytest.raises(ToolError) as refused:
        desk.call("activities.get", activity_id="ACT-50233")
    assert refused.value.code == "not_found"
    assert desk.call("activities.search", opportunity_id="OP-3319")["total"] == 2
    assert desk.world.table("activities.items")["ACT-50233"].archived


def test_an_entry_can_be_moved_to_another_deal():
    desk = office()
    desk.call("activities.update", activity_id="ACT-50233", opportunity_id="OP-3304")
    (moved,) = desk.effects_of("update")
    assert (moved.before, moved.after) == ("OP-3319", "OP-3304")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"opportunity_id": "OP-1"}, "not_found"),
        ({"opportunity_id": "OP-3319", "page": 2}, "not_found"),
        ({"opportunity_id": "OP-3319", "from": "last week"}, "invalid_arguments"),
        ({"opportunity_id": "OP-3319", "kind": "fax"}, "invalid_arguments"),
    ],
)
def test_a_bad_search_is_refused(arguments, code):
    with pytest.raises(ToolError) as refused:
        office().call("activities.search", **arguments)
    assert refused.value.code == code


def test_numbers_of_the_past_run_with_time_between_those_given():
    given = seeds()
    given["activities"]["history"] = [
        {"opportunity": "OP-3319", "kind": "note", "at": at, "from": "@owner", "text": at}
        for at in ("2026-09-20", "2026-08-30", "2026-10-20", "2026-06-01", "2026-09-20")
    ]
    desk = bench(["opportunities", "activities"], {k: given[k] for k in ("opportunities", "activities")})
    rows = desk.world.table("activities.items").values()
    assert len(rows) == 9
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    fresh = desk.call("activities.create", opportunity_id="OP-3304", kind="note", subject="", text="x")
    assert fresh["activity_id"] > max(row.id for row in rows)
