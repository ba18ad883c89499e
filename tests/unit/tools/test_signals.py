from typing import Any

import pytest

from impress_env.errors import ToolError, ToolkitError
from impress_env.testing import bench
from impress_env.testing.bench import Bench
from impress_env.world.people import Person

PEOPLE = [
    Person(id="aalto", name="Outi Aalto", first="Outi"),
    Person(id="quaye", name="Moses Quaye", first="Moses"),
]
SEEDS: dict[str, dict[str, Any]] = {
    "audit_log": {
        "sessions": {"s-1": {"actor": "svc-dunlin"}, "s-2": {"actor": "quaye"}},
        "items": {
            "ev-7c1190": {
                "session": "s-1",
                "at": "-1d 03:12",
                "second": 7,
                "cluster": "prod-eu",
                "workload": "ledger-api",
            },
            "ev-7c1203": {
                "session": "s-1",
                "at": "-1d 03:16",
                "cluster": "staging-eu",
                "workload": "ledger-api",
            },
        },
        "bursts": {
            "pool": {
                "session": "s-2",
                "cluster": "prod-uk",
                "workloads": ["receipts", "telemetry"],
                "start": "-2d 02:00",
                "minutes": 30,
                "count": 7,
            }
        },
    },
    "change_requests": {"items": {"CHG-20377": {"title": "Pool", "requester": "quaye", "at": "-5d 10:00"}}},
    "signals": {
        "rules": {"K8S-ANN-02": {"name": "Workload patched without change annotation"}},
        "rotas": {"change-review": {"name": "Change review", "members": ["quaye", "aalto"]}},
        "items": {
            "SIG-40117": {"rule": "K8S-ANN-02", "event": "ev-7c1190"},
            "SIG-40121": {"rule": "K8S-ANN-02", "event": "ev-7c1203", "locked": True},
        },
        "groups": {"pool": {"rule": "K8S-ANN-02"}},
    },
}


def desk() -> Bench:
    return bench(["signals"], SEEDS, people=PEOPLE)


def test_signals_show_who_where_and_when_from_the_audit_log() -> None:
    at = desk()
    found = at.call("signals.search", cluster="prod-eu")
    assert found["items"] == [
        {
            "id": "SIG-40117",
            "rule": "K8S-ANN-02",
            "state": "open",
            "time": "2026-11-18T03:12:07Z",
            "actor": "svc-dunlin",
            "cluster": "prod-eu",
            "workload": "ledger-api",
            "verb": "patch",
            "resource": "deployments",
            "event": "ev-7c1190",
        }
    ]
    (read,) = at.effects_of("read")
    assert read.covers == ("signals://SIG-40117",)
    assert read.data["actors"] == ("svc-dunlin",)


def test_groups_count_and_hold_the_ids() -> None:
    at = desk()
    found = at.call("signals.search", rule="K8S-ANN", group_by=["actor", "cluster"])
    assert [(g["actor"], g["cluster"], g["count"]) for g in found["items"]] == [
        ("quaye", "prod-uk", 7),
        ("svc-dunlin", "prod-eu", 1),
        ("svc-dunlin", "staging-eu", 1),
    ]
    assert found["items"][1]["ids"] == ["SIG-40117"]
    (read,) = at.effects_of("read")
    assert len(read.covers) == 9
    assert read.fields == ("actor", "cluster")
    assert read.data["actors"] == ("quaye", "svc-dunlin")
    at.call("signals.search", group_by=["cluster"])
    assert at.effects_of("read")[0].data["actors"] == ()


@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        ({}, 9),
        ({"rule": "K8S-AMN"}, 0),
        ({"state": "archived"}, 0),
        ({"state": None}, 9),
        ({"actor": "svc-dunlin"}, 2),
        ({"workload": "receipts"}, 4),
        ({"from": "2026-11-18T00:00:00Z"}, 2),
        ({"to": "2026-11-18T03:12"}, 8),
    ],
)
def test_the_board_can_be_filtered(arguments: dict[str, Any], total: int) -> None:
    assert desk().call("signals.search", **arguments)["total"] == total


def test_archiving_is_control_and_names_each_signal() -> None:
    at = desk()
    ids = at.call("signals.search", cluster="prod-uk", group_by=["cluster"])["items"][0]["ids"]
    at.call("signals.update", ids=ids, state="archived", reason="planned_change", change_ref="CHG-20377")
    control = at.effects_of("control")
    assert sorted(effect.object for effect in control) == sorted(f"signals://{id}" for id in ids)
    assert {(e.before, e.after, e.reason, e.refs) for e in control} == {
        ("open", "archived", "planned_change", ("CHG-20377",))
    }
    assert at.call("signals.search", cluster="prod-uk")["total"] == 0


def test_a_hand_over_reports_to_whoever_is_on_the_rota() -> None:
    at = desk()
    at.call(
        "signals.update",
        ids=["SIG-40117"],
        state="under_review",
        reason="unplanned",
        change_ref="CHG-20377",
        assignee="change-review",
        note="see the change",
    )
    (report,) = at.effects_of("report")
    assert report.object == "signals://SIG-40117"
    assert report.recipients == ("aalto", "quaye")
    assert report.about == "SIG-40117"
    assert report.covers == ("audit_log://ev-7c1190",)
    assert at.effects_of("control") == []
    shown = at.call("signals.get", id="SIG-40117")
    assert (shown["state"], shown["assignee"], shown["updated_by"]) == (
        "under_review",
        "change-review",
        "svc-dunlin",
    )
    assert shown["comments"][0]["text"] == "see the change"


def test_putting_a_signal_back_is_control_as_well() -> None:
    at = desk()
    at.call("signals.update", ids=["SIG-40117"], state="archived", reason="other")
    at.call("signals.update", ids=["SIG-40117"], state="open")
    (control,) = at.effects_of("control")
    assert (control.before, control.after) == ("archived", "open")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ids": []}, "invalid_arguments"),
        ({"ids": ["SIG-1"]}, "not_found"),
        ({"ids": ["SIG-40117"], "reason": None}, "invalid_arguments"),
        ({"ids": ["SIG-40117"], "reason": "planned_change"}, "invalid_arguments"),
        ({"ids": ["SIG-40117"], "reason": "unplanned", "change_ref": "CHG-1"}, "not_found"),
        ({"ids": ["SIG-40117"], "state": "under_review"}, "invalid_arguments"),
        ({"ids": ["SIG-40117"], "state": "under_review", "assignee": "svc-dunlin"}, "not_found"),
        ({"ids": ["SIG-40117", "SIG-40121"]}, "forbidden"),
    ],
)
def test_a_bad_update_is_refused_and_changes_nothing(arguments: dict[str, Any], code: str) -> None:
    at = desk()
    before = at.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        at.call("signals.update", **{"state": "archived", "reason": "other", **arguments})
    assert refused.value.code == code
    assert at.world.fingerprint() == before


def test_a_locked_signal_can_be_handed_over() -> None:
    at = desk()
    at.call("signals.update", ids=["SIG-40121"], state="under_review", reason="other", assignee="aalto")
    assert at.call("signals.get", id="SIG-40121")["state"] == "under_review"


def test_a_comment_reaches_the_assignee() -> None:
    at = desk()
    at.call("signals.comment", id="SIG-40117", text="looking")
    assert at.effects_of("report")[0].recipients == ()
    at.call("signals.update", ids=["SIG-40117"], state="under_review", reason="other", assignee="aalto")
    at.call("signals.comment", id="SIG-40117", text="numbers follow")
    assert at.effects_of("report")[0].recipients == ("aalto",)
    with pytest.raises(ToolError):
        at.call("signals.comment", id="SIG-40117", text=" ")


def test_rules_and_rotas_are_listed() -> None:
    found = desk().call("signals.list_rules")
    assert found["rules"][0]["id"] == "K8S-ANN-02"
    assert found["rotas"][0]["members"] == ["quaye", "aalto"]


def test_an_answer_lands_on_the_signal() -> None:
    at = desk()
    at.world.begin(actor="system", step=1)
    at.tools.toolkits["signals"].handle(
        at.world, "deliver", {"from": "aalto", "text": "taken", "thread": "signals://SIG-40117"}
    )
    at.world.commit()
    assert at.call("signals.get", id="SIG-40117")["comments"][0]["who"] == "aalto"
    assert at.world.take_notices()[0].text == "aalto on SIG-40117: taken"


def test_a_changed_session_changes_the_actor_and_nothing_else() -> None:
    audit = {
        **SEEDS["audit_log"],
        "sessions": {**SEEDS["audit_log"]["sessions"], "s-1": {"actor": "svc-plover"}},
    }
    other = bench(["signals"], {**SEEDS, "audit_log": audit}, people=PEOPLE)
    changes = list(desk().world.diff(other.world))
    assert [(c.table, c.key, c.field) for c in changes] == [("audit_log.sessions", "s-1", "actor")]
    assert other.call("signals.search", actor="svc-dunlin")["total"] == 0
    assert other.call("signals.search", actor="svc-plover")["total"] == 2


def test_a_signal_about_no_event_cannot_be_built() -> None:
    seed = {"items": {"SIG-1": {"rule": "K8S-ANN-02", "event": "ev-000000"}}}
    with pytest.raises((ValueError, ToolkitError), match="ev-000000"):
        bench(["signals"], {"signals": seed})
