from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench

SEED: dict[str, Any] = {
    "sessions": {
        "s-1": {"actor": "svc-dunlin", "source_ip": "10.40.7.19"},
        "s-2": {"actor": "iversen"},
    },
    "items": {
        "ev-7c1190": {
            "session": "s-1",
            "at": "-1d 03:12",
            "second": 7,
            "cluster": "prod-eu",
            "workload": "ledger-api",
            "request": '{"spec":{}}',
        },
        "ev-7c1203": {"session": "s-1", "at": "-1d 03:16", "cluster": "staging-eu", "workload": "ledger-api"},
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
    "rollouts": {"ev-7c1190": {"replicas": 6, "low": 4, "after_seconds": 9, "unavailable_seconds": 221}},
    "chatter": [{"cluster": "prod-eu", "workload": "ledger-api", "start": "-1d 02:45", "minutes": 60, "count": 17}],
}
WHOLE_DAY = {"from": "2026-11-18T00:00:00Z", "to": "2026-11-18T23:59:00Z"}


def test_a_search_gives_whole_events_and_says_which_were_read() -> None:
    desk = bench(["audit_log"], {"audit_log": SEED})
    found = desk.call("audit_log.search", actor="svc-dunlin", **WHOLE_DAY)
    assert [event["auditID"] for event in found["items"]] == ["ev-7c1190", "ev-7c1203"]
    assert found["items"][0]["user"]["username"] == "svc-dunlin"
    assert found["items"][0]["requestReceivedTimestamp"].startswith("2026-11-18T03:12:07.")
    (read,) = desk.effects_of("read")
    assert read.covers == ("audit_log://ev-7c1190", "audit_log://ev-7c1203")
    assert read.data["actors"] == ("svc-dunlin",)
    assert (read.start, read.end) == ("2026-11-18T00:00", "2026-11-18T23:59")


def test_pages_hold_eight_events_of_about_a_kilobyte_and_stay_under_the_cap() -> None:
    desk = bench(["audit_log"], {"audit_log": SEED})
    texts = []
    for page in (1, 2, 3):
        desk.world.begin(actor="agent", step=page)
        text, _ = desk.tools.get("audit_log.search").run(desk.world, {"cluster": "prod-eu", "page": page, **WHOLE_DAY})
        desk.world.commit()
        texts.append(text)
    assert all("truncated" not in text for text in texts)
    assert 800 < len(texts[0]) // 8 < 1500
    with pytest.raises(ToolError, match="No page 4"):
        desk.call("audit_log.search", cluster="prod-eu", page=4, **WHOLE_DAY)


def test_a_rollout_leaves_the_ready_counts_and_their_seconds_in_the_log() -> None:
    desk = bench(["audit_log"], {"audit_log": SEED})
    found = desk.call(
        "audit_log.search", cluster="prod-eu", workload="ledger-api", verbs=["update", "patch"], **WHOLE_DAY
    )
    states = [
        (event["requestReceivedTimestamp"][11:19], event["requestObject"])
        for event in found["items"]
        if event["objectRef"].get("subresource") == "status" and event["objectRef"]["resource"] == "deployments"
    ]
    assert [stamp for stamp, _ in states] == ["03:12:08", "03:12:16", "03:15:57"]
    assert [body["status"]["readyReplicas"] for _, body in states] == [6, 4, 6]
    assert states[1][1]["status"]["unavailableReplicas"] == 2


def test_a_rollout_that_cost_nothing_shows_no_missing_replica() -> None:
    seed = {
        **SEED,
        "chatter": [],
        "rollouts": {"ev-7c1190": {"replicas": 4, "low": 4, "unavailable_seconds": 0}},
    }
    desk = bench(["audit_log"], {"audit_log": seed})
    found = desk.call("audit_log.search", cluster="prod-eu", verbs=["update"], **WHOLE_DAY)
    assert all("unavailableReplicas" not in event["requestObject"]["status"] for event in found["items"])


def test_the_actor_comes_from_the_session() -> None:
    seed = {**SEED, "sessions": {**SEED["sessions"], "s-1": {"actor": "svc-plover"}}}
    desk = bench(["audit_log"], {"audit_log": seed})
    event = desk.call("audit_log.get", event_id="ev-7c1190")
    assert event["user"]["username"] == "svc-plover"
    assert event["session"]["id"] == "s-1"
    assert desk.effects_of("read")[0].data["actors"] == ("svc-plover",)
    assert desk.call("audit_log.search", actor="svc-dunlin", **WHOLE_DAY)["total"] == 0


def test_events_are_counted_by_a_field() -> None:
    desk = bench(["audit_log"], {"audit_log": SEED})
    found = desk.call("audit_log.count", by="workload", cluster="prod-uk", **{"from": "2026-11-17", "to": "2026-11-18"})
    assert found["total"] == 7
    assert found["buckets"] == [{"key": "receipts", "count": 4}, {"key": "telemetry", "count": 3}]
    by_actor = desk.call("audit_log.count", by="actor", verbs=["patch"], **WHOLE_DAY)
    assert by_actor["buckets"] == [{"key": "svc-dunlin", "count": 2}]


def test_sessions_are_listed_by_account() -> None:
    desk = bench(["audit_log"], {"audit_log": SEED})
    found = desk.call("audit_log.list_sessions", actor="svc-dunlin")
    assert [row["source_ip"] for row in found["items"]] == ["10.40.7.19"]


def test_newest_first_turns_the_order() -> None:
    desk = bench(["audit_log"], {"audit_log": SEED})
    found = desk.call("audit_log.search", actor="svc-dunlin", order="desc", **WHOLE_DAY)
    assert [event["auditID"] for event in found["items"]] == ["ev-7c1203", "ev-7c1190"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"from": "yesterday", "to": "2026-11-18"}, "invalid_arguments"),
        ({"from": "2026-11-18", "to": "2026-11-17"}, "invalid_arguments"),
        ({"from": "2026-10-01", "to": "2026-11-17"}, "invalid_arguments"),
        ({"from": "2026-11-17", "to": "2026-11-18", "verbs": ["restart"]}, "invalid_arguments"),
        ({"from": "2026-11-17", "to": "2026-11-18", "page": 0}, "not_found"),
    ],
)
def test_an_unusable_search_is_refused(arguments: dict[str, Any], code: str) -> None:
    desk = bench(["audit_log"], {"audit_log": SEED})
    with pytest.raises(ToolError) as refused:
        desk.call("audit_log.search", **arguments)
    assert refused.value.code == code


def test_an_unknown_event_is_not_found() -> None:
    with pytest.raises(ToolError) as refused:
        bench(["audit_log"], {"audit_log": SEED}).call("audit_log.get", event_id="ev-000000")
    assert refused.value.code == "not_found"


def test_the_same_seed_builds_the_same_log() -> None:
    first, second = (bench(["audit_log"], {"audit_log": SEED}).world.fingerprint() for _ in range(2))
    assert first == second


def test_a_body_that_is_no_json_is_shown_as_it_is() -> None:
    items = {**SEED["items"], "ev-7c1203": {**SEED["items"]["ev-7c1203"], "request": "{not json"}}
    desk = bench(["audit_log"], {"audit_log": {**SEED, "items": items}})
    assert desk.call("audit_log.get", event_id="ev-7c1203")["requestObject"] == "{not json"
