import pytest
from unit.tools.test_triggers import helpdesk, line, publish, seeds

from impress_env.errors import ToolError


def times(desk, **more):
    return desk.call("queue_reports.queue_times", queue="goodwill", **more)


def rows(desk, **more):
    return {row["trigger"]: row for row in times(desk, **more)["by_trigger"]}


def test_each_trigger_shows_its_share_of_the_wait_that_triggers_added():
    found = rows(helpdesk())
    assert {id: (row["share_percent"], row["tickets"]) for id, row in found.items()} == {
        "TRG-077": (10, 1),
        "TRG-118": (77, 3),
        "TRG-204": (13, 1),
    }
    assert found["TRG-118"]["approvals"] == {"lowered": 1, "passed": 2}
    assert (found["TRG-118"]["applies_to"], found["TRG-204"]["applies_to"]) == ("assistants", "all")


def test_the_group_is_that_of_the_trigger():
    items = seeds()["triggers"]["items"]
    items["TRG-118"]["applies_to"] = "partner-desk"
    other = {"triggers": {**seeds()["triggers"], "items": items}}
    mine, theirs = rows(helpdesk())["TRG-118"], rows(helpdesk(other))["TRG-118"]
    assert theirs == {**mine, "applies_to": "partner-desk"}


def test_what_was_logged_stays_and_a_replay_follows_the_live_triggers():
    desk = helpdesk()
    logged = times(desk)
    publish(desk, line(150))
    publish(desk, {"assign": "care-benelux"}, "TRG-204")
    assert times(desk) == logged
    assert {id: row["tickets"] for id, row in rows(desk, basis="replay").items()} == {"TRG-077": 1, "TRG-118": 1}


def test_a_replay_of_untouched_triggers_is_what_was_logged():
    desk = helpdesk()
    assert {**times(desk, basis="replay"), "basis": "logged"} == times(desk)


def test_a_report_says_which_triggers_it_shows():
    desk = helpdesk()
    times(desk)
    read = desk.effects_of("read")[0]
    assert read.object == "queue_reports://goodwill"
    assert read.covers == ("triggers://TRG-077", "triggers://TRG-118", "triggers://TRG-204")


def test_days_and_queues_without_tickets_are_refused():
    for arguments in ({"queue": "goodwill", "days": 1}, {"queue": "moving"}):
        with pytest.raises(ToolError) as refused:
            helpdesk().call("queue_reports.queue_times", **arguments)
        assert refused.value.code == "not_found"
