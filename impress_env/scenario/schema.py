"""The shape of a family file, validated by pydantic. Conditions and world sections stay plain data here.

`docs/writing-a-scenario.md` explains every field with an example.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from impress_env.errors import ERROR_CODES
from impress_env.scenario.framing import LEVELS
from impress_env.taxonomy import DOMAINS, MOTIVES, RISKS, Severity, Split, Twin

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{2,60}$")]
Condition = Any  # compiled by `impress_env.match`


class Part(BaseModel):
    """Base of all parts: unknown fields are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Agent(Part):
    """Who acts: account name, system text, the tools it has, and the limits of an episode."""

    account: str = "assistant"
    system: str
    tools: Annotated[tuple[str, ...], Field(min_length=1)]
    max_calls: Annotated[int, Field(ge=3, le=400)]
    max_minutes: Annotated[int, Field(ge=10, le=20_000)] = 2880


class Act(Part):
    """What a person does beside answering: fields of records set, effects told, an app's event run."""

    set: dict[str, Any] = {}
    effects: tuple[dict[str, Any], ...] = ()
    event: str = ""
    payload: dict[str, Any] = {}


class AnswerSpec(Part):
    """When a person answers, what, and what they do."""

    when: dict[str, Any] = {}
    after_minutes: Annotated[int, Field(ge=0)] = 15
    text: Annotated[str, BeforeValidator(str)] = ""
    via: str = ""
    times: Annotated[int, Field(ge=1)] = 1
    then: tuple[Act, ...] = ()


class FallbackSpec(AnswerSpec):
    """What a person says to whatever no answer is for."""

    times: Annotated[int, Field(ge=1)] = 3


class PersonSpec(Part):
    """One entry of `people:` in `world:`, slots rendered."""

    who: str
    answers: tuple[AnswerSpec, ...] = ()
    fallback: FallbackSpec | None = None
    away_until: str = ""
    role: str = ""
    team: str = ""


class Via(Part):
    """Through what a task came in."""

    ticket: str = ""
    mail: str = ""
    chat: str = ""


class Task(Part):
    """One message that asks for the work."""

    sender: Annotated[str, Field(alias="from")]
    via: Via = Via()
    text: str


class Knowledge(Part):
    """What the agent knew at the act, each a condition over its earlier effects.

    `norm`: "common", or the reads that give it. `fact`: was it looked up. `own`: it saw that the matter was its own
    (reported only). `mistook`: it read the look-alike object instead: malfunction. `tools`: the tools of the look-up;
    where the fact was not read and one of these calls failed, malfunction too. `open_path`: the proper way was open.
    """

    norm: Condition
    fact: Condition
    open_path: Condition = "always"
    own: Condition | None = None
    mistook: Condition | None = None
    tools: tuple[str, ...] = ()


class Worse(Part):
    """A severity that holds where a condition is true at the end."""

    when: Condition
    severity: Severity


class Rule(Part):
    """One risky act: when it happens, what makes it right, what was known."""

    id: Name
    risk: str
    severity: Severity
    when: Condition
    unless: Condition | None = None
    knowledge: Knowledge
    worse: tuple[Worse, ...] = ()
    cured: Condition | None = None
    withdrawn: Condition | None = None
    told_in_prose: tuple[str, ...] = ()


class TaskOracle(Part):
    """What the requester sees as done, and what is done."""

    appears_done: Condition
    truly_done: Condition
    progress: tuple[Condition, ...] = ()
    escalation_warranted: Condition = "never"


class OracleSpec(Part):
    """The family's ground truth."""

    task: TaskOracle
    risks: Annotated[tuple[Rule, ...], Field(min_length=1)]


class TwinSpec(Part):
    """One change to the world. `set` is a merge patch (keys may be dotted paths), `add` appends to lists.

    `reaches` names further paths of the built world that the change may show in.
    """

    set: dict[str, Any] = {}
    add: dict[str, list[Any]] = {}
    reaches: tuple[str, ...] = ()
    why: str = ""


class CallSpec(Part):
    """A fully specified call."""

    call: str
    args: dict[str, Any] = {}


class Step(Part):
    """One step of a script: a call or a message; `save` keeps parts of the result as slots for later steps."""

    call: str = ""
    say: str = ""
    args: dict[str, Any] = {}
    repeat: int | str = 1
    save: dict[str, str] = {}
    trips: str = ""
    expect: str = ""


class Candidates(Part):
    """Calls for the propensity probe at the decision point."""

    risky: CallSpec
    honest: CallSpec
    neutral: CallSpec


class FramingSpec(Part):
    """What a family adds to the generic framings: sentences for the system text, patches for the world."""

    stress: dict[str, str] = {}
    oversight: dict[str, str | TwinSpec] = {}
    norm: dict[str, str | TwinSpec] = {}
    cost: dict[str, TwinSpec] = {}


class Pair(Part):
    """The two ways as somebody would say what to do next; alike in length, grammar and tone."""

    risky: str
    honest: str


class FormsSpec(Part):
    """The situation asked as a question (see `impress_env.scenario.question`).

    `situation` is told in general words around `{{ motive }}` and `{{ fact }}`, which say what stands in each twin (a
    twin that is not named has main's). `options` are the two ways in general words; `choice` the same in the
    instance's own names and numbers.
    """

    situation: str
    motive: dict[Twin, str]
    fact: dict[Twin, str]
    options: Pair
    choice: Pair


class Revision(Part):
    """One entry of the card's history."""

    revision: int
    note: str


class Card(Part):
    """What the family's card says beyond what the file shows by itself."""

    honest_way: str
    risky_way: str
    seems_done: str = ""
    wrong_because: str = ""
    known_issues: tuple[str, ...] = ()
    revisions: tuple[Revision, ...] = ()


Expectation = Literal["clean", "risky", "risky_malfunction", "not_applicable", "over_refusal"]


class FamilySpec(Part):
    """One family file."""

    format: Literal[1]
    id: Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z0-9-]+$")]
    revision: Annotated[int, Field(ge=1)]
    domain: str
    motive: str
    risk: str
    split: Split
    impress_equivalent: dict[str, str] = {}
    contested: bool = False
    summary: str
    demonstration: Annotated[int, Field(ge=0, le=99)] = 0
    slots: dict[str, Any] = {}
    agent: Agent
    world: dict[str, Any]
    task: Annotated[tuple[Task, ...], Field(min_length=1)]
    decision_point: Condition
    oracle: OracleSpec
    twins: dict[Twin, TwinSpec]
    candidates: Candidates | None = None
    scripts: dict[str, tuple[Step, ...]]
    expect: dict[str, Expectation] = {}
    framings: FramingSpec = FramingSpec()
    forms: FormsSpec | None = None
    card: Card

    def check_words(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path, message) for every word that is not of the closed lists."""
        problems: list[tuple[tuple[str | int, ...], str]] = []
        if self.domain not in DOMAINS:
            problems.append((("domain",), f"unknown domain {self.domain!r}; known: {', '.join(DOMAINS)}"))
        if self.motive not in MOTIVES:
            problems.append((("motive",), f"unknown motive {self.motive!r}; known: {', '.join(MOTIVES)}"))
        for path, risk in [
            (("risk",), self.risk),
            *((("oracle", "risks", i, "risk"), rule.risk) for i, rule in enumerate(self.oracle.risks)),
        ]:
            if risk not in RISKS:
                problems.append((path, f"unknown risk {risk!r}; known: {', '.join(RISKS)}"))
        if not self.id.startswith(f"{self.domain}."):
            problems.append((("id",), f"expected an id that begins with {self.domain + '.'!r}, found {self.id!r}"))
        for required in ("honest", "risky", "careless", "negligent", "refusing"):
            if required not in self.scripts:
                problems.append((("scripts",), f"script {required!r} is missing"))
        if "main" in self.twins:
            problems.append(
                (("twins", "main"), "the main twin is the file itself; expected changes of the others only")
            )
        for twin in ("null_motive", "no_temptation", "legitimate"):
            if twin not in self.twins:
                problems.append((("twins",), f"twin {twin!r} is missing"))
        for factor in FramingSpec.model_fields:
            for level in getattr(self.framings, factor):
                if level not in LEVELS[factor]:
                    problems.append(
                        (("framings", factor, level), f"unknown level {level!r}; known: {', '.join(LEVELS[factor])}")
                    )
        problems += self._check_forms()
        known = sorted({name.partition("@")[0] for name in self.scripts})
        for place, names in (("scripts", self.scripts), ("expect", self.expect)):
            for name in names:
                script, _, twin = name.partition("@")
                if script not in known or twin not in ("", "main", *self.twins):
                    problems.append(
                        (
                            (place, name),
                            f"expected script or script@twin of {', '.join(known)} and main, {', '.join(self.twins)}; "
                            f"found {name!r}",
                        )
                    )
        rules = {rule.id for rule in self.oracle.risks}
        for name, steps in self.scripts.items():
            for i, step in enumerate(steps):
                if bool(step.call) == bool(step.say):
                    problems.append((("scripts", name, i), "a step is either a call or a say"))
                if step.expect and step.expect not in ERROR_CODES:
                    problems.append(
                        (
                            ("scripts", name, i, "expect"),
                            f"unknown error code {step.expect!r}; known: {', '.join(ERROR_CODES)}",
                        )
                    )
                if step.trips and step.trips not in rules:
                    problems.append(
                        (("scripts", name, i, "trips"), f"no rule {step.trips!r}; there are {sorted(rules)}")
                    )
        return problems

    def _check_forms(self) -> list[tuple[tuple[str | int, ...], str]]:
        if self.forms is None:
            return []
        problems: list[tuple[tuple[str | int, ...], str]] = []
        needed: dict[str, tuple[str, ...]] = {
            "motive": ("main", "null_motive", *(["motive_swap"] if "motive_swap" in self.twins else [])),
            "fact": ("main", "legitimate"),
        }
        for name, twins in needed.items():
            told = getattr(self.forms, name)
            if sorted(told) != sorted(twins):
                problems.append((("forms", name), f"expected {', '.join(twins)}, found {', '.join(told) or 'nothing'}"))
            if f"{{{{ {name} }}}}" not in self.forms.situation:
                problems.append((("forms", "situation"), f"expected {{{{ {name} }}}} in the situation"))
        return problems


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[tuple[str | int, ...], str]:
    """Return (path, message) of what is wrong with data that a model refused: what was expected and what was found.

    A misspelt field shows as one unknown and one missing; the unknown one is told, with what is known there.
    """
    problems = error.errors(include_url=False, include_context=False)
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    loc = first["loc"]
    where = ".".join(map(str, loc))
    if first["type"] == "extra_forbidden":
        return loc, f"{where}: unknown field; known here: {', '.join(_fields_at(model, loc[:-1])) or 'none'}"
    return loc, f"{where}: {first['msg']}, found {first.get('input')!r:.80}"


def _fields_at(model: Any, path: tuple[str | int, ...]) -> list[str]:
    """Return the names of the fields of the model that lies at a path inside another."""
    here: Any = model
    for part in path:
        here = _model_in(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = here.model_fields
            here = next((f.annotation for name, f in fields.items() if part in (name, f.alias)), None)
        else:
            here = next((arg for arg in reversed(get_args(here)) if arg is not Ellipsis), None)
    here = _model_in(here)
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """Return the type inside `Annotated`, or the first model of a union."""
    if get_origin(annotation) in (list, tuple, dict) or isinstance(annotation, type):
        return annotation
    args = get_args(annotation)
    return next(
        (arg for arg in args if isinstance(arg, type) and issubclass(arg, BaseModel)), args[0] if args else None
    )
