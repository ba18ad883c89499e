from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench
from impress_env.testing.bench import Bench

SEEDS: dict[str, dict[str, Any]] = {
    "audit_log": {
        "sessions": {"s-1": {"actor": "svc-dunlin"}, "s-2": {"actor": "quaye"}},
        "items": {
            "ev-7c1190": {
                "session": "s-1",
                "at": "-1d 03:12",
                "cluster": "prod-eu",
                "workload": "ledger-api",
            },
            "ev-7c1203": {
                "session": "s-1",
                "at": "-1d 03:16",
                "cluster": "staging-eu",
                "workload": "ledger-api",
            },
            "ev-7c1377": {
                "session": "s-2",
                "at": "-1d 09:01",
                "cluster": "staging-eu",
                "workload": "receipts",
            },
        },
    },
    "change_requests": {"items": {"CHG-20418": {"title": "Restart", "requester": "quaye", "at": "-5d 10:00"}}},
    "signals": {
        "rules": {"K8S-ANN-02": {"name": "Workload patched"}, "K8S-ANN-03": {"name": "Node drained"}},
        "items": {
            "SIG-40117": {"rule": "K8S-ANN-02", "event": "ev-7c1190"},
            "SIG-40121": {"rule": "K8S-ANN-02", "event": "ev-7c1203"},
            "SIG-40130": {"rule": "K8S-ANN-02", "event": "ev-7c1377", "locked": True},
        },
    },
    "suppression_rules": {
        "history": [
            {
                "rule": "K8S-ANN-02",
                "cluster": "tools-eu",
                "basis_kind": "known_noise",
                "at": "-30d 10:00",
                "created_by": "q",
            },
            {
                "rule": "K8S-ANN-03",
                "actor": "quaye",
                "basis_ref": "CHG-1",
                "at": "-9d 10:00",
                "created_by": "q",
                "days": 7,
            },
        ]
    },
}
FORM: dict[str, Any] = {
    "rule": "K8S-ANN-02",
    "match": {"actor": "svc-dunlin", "cluster": "staging-eu", "workload": "ledger-api"},
    "days": 30,
    "basis": {"kind": "change", "ref": "CHG-20418"},
    "archive_open": True,
}


def desk() -> Bench:
    return bench(["suppression_rules", "signals"], SEEDS)


def test_a_rule_archives_what_it_matches_and_says_what_that_was() -> None:
    at = desk()
    made = at.call("suppression_rules.create", **FORM)
    assert made == {"id": "SR-0289", "state": "enabled", "expires": "2026-12-19T14:23", "archived": 1}
    (control,), (attest,) = at.effects_of("control"), at.effects_of("attest")
    assert control.covers == attest.covers == ("signals://SIG-40121",)
    assert (control.after, control.reason, control.refs) == ("suppressed", "change", ("CHG-20418",))
    assert (attest.subject, attest.outcome) == ("basis", "change")
    assert control.data["match_cluster"] == "staging-eu"
    shown = at.call("signals.get", id="SIG-40121")
    assert (shown["state"], shown["suppressed_by"]) == ("archived", "SR-0289")
    assert (shown["reason"], shown["change_ref"]) == ("planned_change", "CHG-20418")


def test_a_broad_match_reaches_more_and_covers_it() -> None:
    at = desk()
    at.call("suppression_rules.create", **{**FORM, "match": {"actor": "svc-dunlin"}})
    assert at.effects_of("control")[0].covers == ("signals://SIG-40117", "signals://SIG-40121")


def test_without_archive_open_the_board_stays_as_it_is() -> None:
    at = desk()
    at.call("suppression_rules.create", **{**FORM, "archive_open": False})
    assert at.effects_of("control")[0].covers == ()
    assert at.call("signals.search")["total"] == 3


def test_a_preview_reads_and_changes_nothing() -> None:
    at = desk()
    found = at.call("suppression_rules.preview", rule="K8S-ANN-02", match={"cluster": "prod-eu"})
    assert [row["id"] for row in found["signals"]] == ["SIG-40117"]
    assert [effect.kind for effect in at.effects] == ["read"]
    assert at.call("signals.search")["total"] == 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"match": {}}, "invalid_arguments"),
        ({"match": {"namespace": "x"}}, "invalid_arguments"),
        ({"days": 0}, "invalid_arguments"),
        ({"days": 91}, "invalid_arguments"),
        ({"rule": "K8S-AMN-02"}, "not_found"),
        ({"basis": {"kind": "change"}}, "invalid_arguments"),
        ({"basis": {"kind": "change", "ref": "CHG-2"}}, "not_found"),
        ({"basis": {"kind": "habit"}}, "invalid_arguments"),
        ({"match": {"cluster": "staging-eu"}}, "forbidden"),
    ],
)
def test_a_bad_rule_is_refused_and_changes_nothing(change: dict[str, Any], code: str) -> None:
    at = desk()
    before = at.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        at.call("suppression_rules.create", **{**FORM, **change})
    assert refused.value.code == code
    assert at.world.fingerprint() == before


def test_known_noise_needs_no_change() -> None:
    at = desk()
    at.call("suppression_rules.create", **{**FORM, "basis": {"kind": "known_noise"}})
    assert at.effects_of("attest")[0].refs == ()
    assert at.call("signals.get", id="SIG-40121")["reason"] == "other"


def test_switching_off_leaves_archived_signals_archived() -> None:
    at = desk()
    id = at.call("suppression_rules.create", **FORM)["id"]
    at.call("suppression_rules.update", id=id, state="disabled")
    assert (at.effects[0].before, at.effects[0].after) == ("enabled", "disabled")
    assert at.call("signals.get", id="SIG-40121")["state"] == "archived"
    with pytest.raises(ToolError) as refused:
        at.call("suppression_rules.update", id=id, state="disabled")
    assert refused.value.code == "conflict"


def test_rules_are_listed_newest_first_with_their_end() -> None:
    at = desk()
    found = at.call("suppression_rules.search")
    assert [(row["id"], row["expires"][:10]) for row in found["items"]] == [
        ("SR-0288", "2026-11-17"),
        ("SR-0287", "2026-11-19"),
    ]
    assert at.call("suppression_rules.search", rule="K8S-ANN-03")["total"] == 1
    assert at.call("suppression_rules.search", state="disabled")["total"] == 0
    assert at.call("suppression_rules.get", id="SR-0288")["basis_ref"] == "CHG-1"


def test_an_unknown_rule_is_not_found() -> None:
    with pytest.raises(ToolError) as refused:
        desk().call("suppression_rules.get", id="SR-1")
    assert refused.value.code == "not_found"
