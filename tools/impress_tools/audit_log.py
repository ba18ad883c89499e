"""Audit log: what was asked of the clusters' API servers, by which session, and how it ended.

An event knows its session, and the session its account: who did it is resolved on read. Nothing writes to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Annotated, Any, Final, Literal
from zlib import crc32

from pydantic import Field

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._devops import moment

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete"]
Facet = Literal["actor", "cluster", "namespace", "workload", "verb"]
PAGE: Final = 8
LONGEST_RANGE_DAYS: Final = 7


class Session(Record, frozen=True, kw_only=True):
    """One login: the account that opened it, from where and with what."""

    id: str
    actor: str
    groups: tuple[str, ...]
    source_ip: str
    user_agent: str
    credential: str
    opened: str


class AuditEvent(Record, frozen=True, kw_only=True):
    """One request to an API server. `burst` names the run of events that it was built with, if any."""

    id: str
    session: str
    at: str
    second: int
    verb: str
    cluster: str
    namespace: str
    workload: str
    resource: str
    subresource: str
    name: str
    code: int
    request: str
    response: str
    burst: str


class SessionSeed(Seed):
    """A session in a scenario file."""

    actor: str
    groups: tuple[str, ...] = ("system:authenticated",)
    source_ip: str = "10.40.7.11"
    user_agent: str = "kubectl/v1.31.4 (linux/amd64) kubernetes/a78aa47"
    credential: str = "oidc"
    opened: str = ""


class EventSeed(Seed):
    """An event in a scenario file."""

    session: str
    at: str
    second: Annotated[int, Field(ge=0, le=59)] = 0
    verb: Verb = "patch"
    cluster: str
    namespace: str = ""
    workload: str
    resource: str = "deployments"
    subresource: str = ""
    name: str = ""
    code: int = 200
    request: str = ""
    response: str = ""


class BurstSeed(Seed):
    """A run of like events by one session, spread over workloads and time; `requests` go in turn."""

    session: str
    cluster: str
    workloads: Annotated[tuple[str, ...], Field(min_length=1)]
    start: str
    minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    count: Annotated[int, Field(ge=1, le=60)]
    verb: Verb = "patch"
    resource: str = "deployments"
    subresource: str = ""
    request: str = ""
    requests: tuple[str, ...] = ()


class RolloutSeed(Seed):
    """What an event did to its workload's replicas, as the controllers then wrote it down."""

    replicas: Annotated[int, Field(ge=1, le=60)]
    low: Annotated[int, Field(ge=0, le=60)]
    after_seconds: Annotated[int, Field(ge=1, le=120)] = 6
    unavailable_seconds: Annotated[int, Field(ge=0, le=3600)]


class ChatterSeed(Seed):
    """Controllers' routine requests about one workload over a stretch of time."""

    cluster: str
    workload: str
    start: str
    minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    count: Annotated[int, Field(ge=1, le=200)]


class AuditLogSeed(Seed):
    """Section `audit_log:`; `rollouts` by the id of the event that caused them."""

    sessions: dict[str, SessionSeed] = Field(default_factory=dict)
    items: dict[str, EventSeed] = Field(default_factory=dict)
    bursts: dict[str, BurstSeed] = Field(default_factory=dict)
    rollouts: dict[str, RolloutSeed] = Field(default_factory=dict)
    chatter: tuple[ChatterSeed, ...] = ()


# session id -> account, groups, user agent of the controllers that write about workloads
_SYSTEM: Final[dict[str, tuple[str, tuple[str, ...], str]]] = {
    "sys-deploy": (
        "system:serviceaccount:kube-system:deployment-controller",
        ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
        "kube-controller-manager/v1.31.4 (linux/amd64) kubernetes/a78aa47/system:serviceaccount:kube-system",
    ),
    "sys-endpoints": (
        "system:serviceaccount:kube-system:endpointslice-controller",
        ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
        "kube-controller-manager/v1.31.4 (linux/amd64) kubernetes/a78aa47/system:serviceaccount:kube-system",
    ),
    "sys-hpa": (
        "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
        ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
        "kube-controller-manager/v1.31.4 (linux/amd64) kubernetes/a78aa47/system:serviceaccount:kube-system",
    ),
    "sys-metrics": (
        "system:serviceaccount:monitoring:kube-state-metrics",
        ("system:serviceaccounts", "system:serviceaccounts:monitoring", "system:authenticated"),
        "kube-state-metrics/v2.13.0 (linux/amd64) kube-state-metrics",
    ),
    "sys-kubelet": (
        "system:node:ip-10-40-19-31",
        ("system:nodes", "system:authenticated"),
        "kubelet/v1.31.4 (linux/amd64) kubernetes/a78aa47",
    ),
}
# where those come from that do not run beside the API server
_SOURCES: Final = {"sys-kubelet": "10.40.19.31", "sys-metrics": "10.40.22.118"}
# session, verb, resource, subresource, request template of routine requests
_ROUTINE: Final[tuple[tuple[str, Verb, str, str, str], ...]] = (
    ("sys-hpa", "get", "deployments", "scale", ""),
    (
        "sys-hpa",
        "update",
        "horizontalpodautoscalers",
        "status",
        '{"status":{"currentMetrics":[{"type":"Resource","resource":{"name":"cpu",'
        '"current":{"averageUtilization":%d}}}]}}',
    ),
    ("sys-metrics", "list", "pods", "", ""),
    ("sys-metrics", "get", "deployments", "", ""),
    ("sys-kubelet", "get", "configmaps", "", ""),
    (
        "sys-kubelet",
        "create",
        "serviceaccounts",
        "token",
        '{"spec":{"audiences":["vault"],"expirationSeconds":3607}}',
    ),
    (
        "sys-endpoints",
        "update",
        "endpointslices",
        "",
        '{"metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"%s"}}}',
    ),
)


def build(seed: AuditLogSeed, make: Build) -> None:
    """Put sessions and events, then what the controllers wrote."""
    for id, session in seed.sessions.items():
        opened = make.time(session.opened) if session.opened else ""
        make.put(id, Session(id=id, opened=opened, **session.model_dump(exclude={"opened"})))
    if seed.rollouts or seed.chatter:
        for id, (actor, groups, agent) in _SYSTEM.items():
            make.put(
                id,
                Session(
                    id=id,
                    actor=actor,
                    groups=groups,
                    source_ip=_SOURCES.get(id, "10.40.0.4"),
                    user_agent=agent,
                    credential="client certificate" if id == "sys-kubelet" else "serviceaccount token",
                    opened="",
                ),
            )
    for id, event in seed.items.items():
        make.put(id, _event(id, event, make))
    for name, burst in seed.bursts.items():
        _put_burst(name, burst, make)
    for id, rollout in seed.rollouts.items():
        _put_rollout(id, rollout, make)
    for number, chatter in enumerate(seed.chatter):
        _put_chatter(chatter, make.stream(f"chatter-{number}"), make)


def _event(id: str, seed: EventSeed, make: Build) -> AuditEvent:
    return AuditEvent(
        id=id,
        session=seed.session,
        at=make.time(seed.at),
        second=seed.second,
        verb=seed.verb,
        cluster=seed.cluster,
        namespace=seed.namespace or seed.workload,
        workload=seed.workload,
        resource=seed.resource,
        subresource=seed.subresource,
        name=seed.name or seed.workload,
        code=seed.code,
        request=seed.request.strip(),
        response=seed.response.strip(),
        burst="",
    )


def _put(make: Build, draw: Random, at: int, second: int, **fields: Any) -> None:
    taken = make.rows(AuditEvent)
    id = f"ev-{draw.randrange(16**6):06x}"
    while id in taken:
        id = f"ev-{draw.randrange(16**6):06x}"
    rest = {"subresource": "", "code": 200, "request": "", "response": "", "burst": "", **fields}
    make.put(id, AuditEvent(id=id, at=iso(at + second // 60), second=second % 60, **rest))


def _put_burst(name: str, seed: BurstSeed, make: Build) -> None:
    draw, start = make.stream(f"burst-{name}"), minutes(make.time(seed.start))
    for place, second in enumerate(sorted(draw.sample(range(seed.minutes * 60), seed.count))):
        workload = seed.workloads[place % len(seed.workloads)]
        _put(
            make,
            draw,
            start,
            second,
            session=seed.session,
            verb=seed.verb,
            cluster=seed.cluster,
            namespace=workload,
            workload=workload,
            resource=seed.resource,
            subresource=seed.subresource,
            name=workload,
            request=(seed.requests[place % len(seed.requests)] if seed.requests else seed.request).strip(),
            burst=name,
        )


def _put_rollout(id: str, seed: RolloutSeed, make: Build) -> None:
    cause, draw = make.rows(AuditEvent)[id], make.stream(f"rollout-{id}")
    points = [(1, seed.replicas)]
    if seed.unavailable_seconds:
        points.append((seed.after_seconds, seed.low))
        points.append((seed.after_seconds + seed.unavailable_seconds, seed.replicas))
    else:
        points.append((seed.after_seconds, seed.replicas))
    for offset, ready in points:
        unavailable = f',"unavailableReplicas":{seed.replicas - ready}' if ready < seed.replicas else ""
        _put(
            make,
            draw,
            minutes(cause.at),
            cause.second + offset,
            session="sys-deploy",
            verb="update",
            cluster=cause.cluster,
            namespace=cause.namespace,
            workload=cause.workload,
            resource="deployments",
            subresource="status",
            name=cause.workload,
            request=f'{{"status":{{"replicas":{seed.replicas},"readyReplicas":{ready},'
            f'"availableReplicas":{ready}{unavailable}}}}}',
        )


def _filled(request: str, load: int, moment: str) -> str:
    return request.replace("%d", str(load)).replace("%s", moment)


def _put_chatter(seed: ChatterSeed, draw: Random, make: Build) -> None:
    start = minutes(make.time(seed.start))
    for second in sorted(draw.sample(range(seed.minutes * 60), seed.count)):
        session, verb, resource, subresource, request = draw.choice(_ROUTINE)
        suffix = f"-{draw.randrange(16**5):05x}" if resource in ("endpointslices", "configmaps") else ""
        _put(
            make,
            draw,
            start,
            second,
            session=session,
            verb=verb,
            cluster=seed.cluster,
            namespace=seed.workload,
            workload=seed.workload,
            resource=resource,
            subresource=subresource,
            name="" if verb == "list" else seed.workload + suffix,
            request=_filled(request, draw.randrange(21, 90), f"{iso(start + second // 60)}:{second % 60:02d}Z"),
        )


kit = Toolkit(
    "audit_log",
    title="Kubernetes audit log",
    seed=AuditLogSeed,
    tables={"audit_log.sessions": Session, "audit_log.items": AuditEvent},
    build=build,
)


@kit.tool(effects=["read"])
def search(
    at: Slice,
    from_: str,
    to: str,
    actor: str | None = None,
    cluster: str | None = None,
    workload: str | None = None,
    verbs: list[Verb] | None = None,
    page: int = 1,
    order: Literal["asc", "desc"] = "asc",
) -> object:
    """List audit events in a range of time.

    Args:
        from_: Start of the range, ISO time in UTC.
        to: End of the range, ISO time in UTC; at most 7 days after the start.
        actor: Only requests by this account.
        cluster: Only this cluster.
        workload: Only requests about this workload.
        verbs: Only these verbs.
        page: Page number, 8 events a page.
        order: By time, oldest first (asc) or newest first (desc).
    """
    start, end = _range(from_, to)
    rows = _between(at, start, end, actor=actor, cluster=cluster, workload=workload, verbs=verbs)
    rows.sort(key=lambda event: (event.at, event.second, event.id), reverse=order == "desc")
    found = paged(rows, page, PAGE)
    shown: list[AuditEvent] = found["items"]
    actors = tuple(sorted({actor_of(at, event) for event in shown}))
    at.emit(
        "read",
        "audit_log://",
        labels=("internal",),
        start=start,
        end=end,
        count=len(shown),
        covers=tuple(sorted(f"audit_log://{event.id}" for event in shown)),
        data={"actors": actors},
    )
    found["items"] = [_shown(at, event) for event in shown]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, event_id: str) -> object:
    """Open one audit event with the session that it came from.

    Args:
        event_id: Id of the event (auditID).
    """
    event = find_event(at, event_id)
    session = at.table(Session)[event.session]
    at.emit(
        "read",
        f"audit_log://{event.id}",
        labels=("internal",),
        start=event.at,
        end=event.at,
        data={"actors": (session.actor,)},
    )
    login = {"id": session.id, "credential": session.credential, "opened": session.opened}
    return {**_shown(at, event), "session": login}


@kit.tool(effects=["read"])
def count(
    at: Slice,
    from_: str,
    to: str,
    by: Facet,
    actor: str | None = None,
    cluster: str | None = None,
    workload: str | None = None,
    verbs: list[Verb] | None = None,
) -> object:
    """Count audit events in a range of time by one of their fields.

    Args:
        from_: Start of the range, ISO time in UTC.
        to: End of the range, ISO time in UTC; at most 7 days after the start.
        by: The field to count by.
        actor: Only requests by this account.
        cluster: Only this cluster.
        workload: Only requests about this workload.
        verbs: Only these verbs.
    """
    start, end = _range(from_, to)
    totals: dict[str, int] = {}
    for event in _between(at, start, end, actor=actor, cluster=cluster, workload=workload, verbs=verbs):
        value = actor_of(at, event) if by == "actor" else str(getattr(event, by))
        totals[value] = totals.get(value, 0) + 1
    at.emit("read", "audit_log://counts", start=start, end=end, subject=by, count=sum(totals.values()))
    ranked = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "by": by,
        "total": sum(totals.values()),
        "buckets": [{"key": k, "count": n} for k, n in ranked[:50]],
    }


@kit.tool(effects=["read"])
def list_sessions(at: Slice, actor: str | None = None, page: int = 1) -> object:
    """List the logins that the log holds events of.

    Args:
        actor: Only this account's.
        page: Page number, 20 sessions a page.
    """
    rows = [row for row in at.table(Session).values() if actor is None or row.actor == actor]
    found = paged(rows, page)
    shown: list[Session] = found["items"]
    at.emit(
        "read",
        "audit_log://sessions",
        count=len(shown),
        covers=tuple(sorted(f"audit_log://sessions/{row.id}" for row in shown)),
        data={"actors": tuple(sorted({row.actor for row in shown}))},
    )
    return found


def find_event(at: Slice, event_id: str) -> AuditEvent:
    """Return an event.

    Raises:
        ToolError: `not_found`.
    """
    event = at.table(AuditEvent).get(event_id)
    if event is None:
        raise ToolError("not_found", f"No audit event {event_id[:80]}.", expected="an id such as ev-7c1190")
    return event


def actor_of(at: Slice, event: AuditEvent) -> str:
    """Return the account behind an event, taken from its session."""
    return at.table(Session)[event.session].actor


def _range(from_: str, to: str) -> tuple[str, str]:
    start, end = moment(from_, "from"), moment(to, "to")
    if not 0 <= minutes(end) - minutes(start) <= LONGEST_RANGE_DAYS * 1440:
        raise ToolError(
            "invalid_arguments",
            "Not a usable range.",
            expected=f"an end at most {LONGEST_RANGE_DAYS} days after the start",
            found=f"{start} to {end}",
        )
    return start, end


def _between(
    at: Slice,
    start: str,
    end: str,
    *,
    actor: str | None,
    cluster: str | None,
    workload: str | None,
    verbs: Sequence[Verb] | None,
) -> list[AuditEvent]:
    return [
        event
        for event in at.table(AuditEvent).values()
        if start <= event.at <= end
        and (cluster is None or event.cluster == cluster)
        and (workload is None or event.workload == workload)
        and (not verbs or event.verb in verbs)
        and (actor is None or actor_of(at, event) == actor)
    ]


def _shown(at: Slice, event: AuditEvent) -> dict[str, Any]:
    """Return an event as the log has it."""
    session = at.table(Session)[event.session]
    mark = crc32(event.id.encode())
    group = {"deployments": "apis/apps/v1", "horizontalpodautoscalers": "apis/autoscaling/v2"}.get(
        event.resource, "apis/discovery.k8s.io/v1" if event.resource == "endpointslices" else "api/v1"
    )
    uri = "/".join(
        part for part in ("", group, "namespaces", event.namespace, event.resource, event.name, event.subresource)
    ).rstrip("/")
    manager = session.user_agent.partition("/")[0]
    shown: dict[str, Any] = {
        "auditID": event.id,
        "cluster": event.cluster,
        "level": "RequestResponse",
        "stage": "ResponseComplete",
        "verb": event.verb,
        "requestURI": uri + (f"?fieldManager={manager}" if event.verb == "patch" else ""),
        "user": {"username": session.actor, "groups": session.groups},
        "sourceIPs": [session.source_ip],
        "userAgent": session.user_agent,
        "objectRef": {
            "resource": event.resource,
            **({"subresource": event.subresource} if event.subresource else {}),
            "namespace": event.namespace,
            **({"name": event.name} if event.name else {}),
            "apiVersion": group.rpartition("/")[2],
            "resourceVersion": str(_version(event)),
        },
        "workload": event.workload,
        "responseStatus": {"metadata": {}, "code": _code(event)},
        "requestObject": _body(event.request),
        "responseObject": _body(event.response),
        "requestReceivedTimestamp": f"{event.at}:{event.second:02d}.{mark // 7 % 1_000_000:06d}Z",
        "annotations": {
            "authorization.k8s.io/decision": "allow" if event.code < 400 else "forbid",
            "authorization.k8s.io/reason": _reason(session.actor),
        },
    }
    return {key: value for key, value in shown.items() if value not in ("", None)}


def _version(event: AuditEvent) -> int:
    """Return the cluster's count of writes at the event: it rises with time, by one or two a second."""
    seconds = minutes(event.at) * 60 + event.second - 1_700_000_000
    return crc32(event.cluster.encode()) % 40_000_000 + seconds * 2 + crc32(event.id.encode()) % 2


def _code(event: AuditEvent) -> int:
    """Return the status as the API server gives it: something made is 201, a terminal switches protocols."""
    if event.verb != "create" or event.code != 200:
        return event.code
    return 101 if event.subresource == "exec" else 201


def _reason(actor: str) -> str:
    """Return by which rule an account was let through, in the API server's words; nodes have their own authorizer."""
    if actor.startswith("system:node:"):
        return ""
    if not actor.startswith("system:serviceaccount:"):
        return f'RBAC: allowed by ClusterRoleBinding "platform-deployers" of ClusterRole "deployer" to User "{actor}"'
    space, name = actor.removeprefix("system:serviceaccount:").split(":", 1)
    role = f"system:controller:{name}" if space == "kube-system" else name
    return f'RBAC: allowed by ClusterRoleBinding "{role}" of ClusterRole "{role}" to ServiceAccount "{name}/{space}"'


def _body(text: str) -> object:
    """Return a request's body as the log nests it: JSON where it is JSON."""
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
