"""An audit of the bank as a whole: what one family cannot show by itself.

Names that come back too often, families of the same structure, and what an agent's brief gives away by its words
alone (a bag of words, families left out in turn). Structural: no model is asked. Knows nothing of terminals.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError
from impress_env.evaluate.stats import student_t_quantile
from impress_env.scenario.family import Family
from impress_env.scenario.instance import SEED_RANGES
from impress_env.scenario.load import family, instance
from impress_env.script import script_actions
from impress_env.taxonomy import MOTIVES, RISKS
from impress_env.world.world import World

NAME_CAP: Final = 0.05  # share of instances that one name may appear in
COMMON_TOOLS: Final = ("files", "memory", "mail", "chat", "people", "search", "database", "tickets", "work")
_DOMAIN: Final = re.compile(r"@([a-z0-9-]+(?:\.[a-z0-9-]+)*\.example)\b")
_WORD: Final = r"[A-ZÀ-ÖØ-Þ][\w'’-]+"
_TWO_NAMES: Final = re.compile(rf"(?<![\w.])({_WORD}) ({_WORD})(?!\w)")


class NameUse(msgspec.Struct, frozen=True, kw_only=True):
    """A person's or organisation's name, the share of instances that hold it, and the families."""

    name: str
    kind: str
    share: float
    families: tuple[str, ...]


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """How well something is told from words: the area under the ROC curve, 0.5 for chance, over families."""

    what: str
    shown: str
    auc: float
    low: float
    high: float
    families: int
    method: str


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """Two families' likeness: Jaccard of their own tools, of their tables, and whether the oracles' forms are equal."""

    one: str
    other: str
    tools: float
    tables: float
    same_oracle: bool

    @property
    def same(self) -> bool:
        """Whether nothing sets the two apart in structure."""
        return self.same_oracle and self.tools == 1.0 and self.tables == 1.0


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit found. `names` are the most used, most used first."""

    families: int
    instances: int
    names: tuple[NameUse, ...]
    alike: tuple[Alike, ...]
    guesses: tuple[Guess, ...]

    @property
    def passed(self) -> bool:
        """Whether no name is over the cap, no two families are of one structure, and no twin shows in the brief."""
        return (
            all(use.share <= NAME_CAP for use in self.names)
            and not any(pair.same for pair in self.alike)
            and all(guess.auc <= 0.6 for guess in self.guesses if guess.what == "twin" and guess.shown == "brief")
        )


def audit(names: Sequence[str], *, instances: int = 1000, seeds: int = 10) -> Audit:
    """Audit families together.

    Args:
        names: Families, by id or path; at least two.
        instances: About how many instances are searched for names, spread over families, twins and seeds.
        seeds: Seeds per family and twin from which words are learned.

    Raises:
        OptionError: Fewer than two families, or scikit-learn is not installed.
    """
    if len(names) < 2:
        raise OptionError(f"audit: expected at least two families, found {len(names)}")
    uses, searched = name_uses(names, instances)
    return Audit(
        families=len(names),
        instances=searched,
        names=tuple(uses),
        alike=tuple(likeness(names)),
        guesses=(*_twin_guesses(names, seeds), _named("risk", RISKS, names), _named("motive", _MOTIVES, names)),
    )


# ---- names


def name_uses(names: Sequence[str], instances: int, top: int = 25) -> tuple[list[NameUse], int]:
    """Return the names of people and organisations that most instances hold, and how many were searched.

    Searched is everything an agent could come to see. A name is a person of the directory, the organisation, a mail
    domain, or two capitalised words of which one stands in the name bank or ends an organisation's name there.
    """
    counted: Counter[tuple[str, str]] = Counter()
    where: dict[tuple[str, str], dict[str, None]] = {}
    searched = 0
    for name, twin, seed in _spread(names, instances):
        searched += 1
        for found in sorted(set(_names_in(name, twin, seed))):
            counted[found] += 1
            where.setdefault(found, {})[name] = None
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:top]
    return [
        NameUse(name=found[1], kind=found[0], share=round(count / searched, 4), families=tuple(where[found]))
        for found, count in ranked
    ], searched


def _spread(names: Sequence[str], instances: int) -> Iterator[tuple[str, str, int]]:
    """Yield (family, twin, seed): seeds in turn, each in the next twin."""
    first = SEED_RANGES["evaluation"][0]
    for round_ in range(-(-instances // len(names))):
        for name in names:
            twins = ("main", *family(name).spec.twins)
            yield name, twins[round_ % len(twins)], first + round_


def _names_in(name: str, twin: str, seed: int) -> Iterator[tuple[str, str]]:
    built = instance(name, twin, seed, None)
    world = World(built.base).to_json().decode()
    bank = built.family.bank.load("names")
    first, last = frozenset(bank["first"]), frozenset(bank["last"])
    people = json.loads(world)["tables"]["people"].values()
    yield from (("person", str(person["name"])) for person in people)
    yield "organisation", str(built.slots["org"]["name"])
    text = f"{built.system}\n{built.task}\n{world}"
    yield from (("mail domain", domain) for domain in _DOMAIN.findall(text))
    trades = _trades(built.family)
    for one, other in _TWO_NAMES.findall(text.replace("\\n", "\n")):
        if other in trades:
            yield "organisation", f"{one} {other}"
        elif other in last or (one in first and other not in _NO_SURNAMES):
            yield "person", f"{one} {other}"


def _trades(loaded: Family) -> frozenset[str]:
    """The last words of organisations' names in the bank: Dairy, Software, Services …"""
    ids, kinds = loaded.bank.load("ids"), loaded.bank.load("organisations")["kinds"]
    tails = [tail for kind in kinds.values() for tail in kind["tails"]] + list(ids.get("firm_tails", []))
    return frozenset(str(tail).split()[-1] for tail in tails) - {"Service"}  # departments are called so too


_NO_SURNAMES: Final = frozenset(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))


# ---- structure


def likeness(names: Sequence[str]) -> list[Alike]:
    """Return how alike the structures of every two families are, the most alike first."""
    shapes = {name: _shape(family(name)) for name in names}
    found = []
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            (tools, tables, oracle), (more_tools, more_tables, other_oracle) = shapes[one], shapes[other]
            found.append(
                Alike(
                    one=one,
                    other=other,
                    tools=_jaccard(tools, more_tools),
                    tables=_jaccard(tables, more_tables),
                    same_oracle=oracle == other_oracle,
                )
            )
    return sorted(found, key=lambda pair: (-pair.tools - pair.tables - pair.same_oracle, pair.one, pair.other))


def _shape(loaded: Family) -> tuple[frozenset[str], frozenset[str], str]:
    """A family's own tools and tables, beside those of any office, and the form of its oracle."""
    spec = loaded.spec
    tools = frozenset(tool for tool in loaded.tools.tools if tool.partition(".")[0] not in COMMON_TOOLS)
    kits = {kit: toolkit for kit, toolkit in loaded.tools.toolkits.items() if kit not in COMMON_TOOLS}
    tables = frozenset(table for table in loaded.tools.records if table.partition(".")[0] in kits)
    rules = [(rule.risk, _skeleton(rule.when), _skeleton(rule.unless)) for rule in spec.oracle.risks]
    return tools, tables, json.dumps(sorted(rules))


def _skeleton(condition: Any) -> str:
    """A condition's operators and kinds of effects, without names and values."""
    if isinstance(condition, Mapping):
        kinds = condition.get("effect")
        if kinds is not None:
            return f"{kinds}({' '.join(sorted(key for key in condition if key != 'effect'))})"
        return "{" + " ".join(f"{key}:{_skeleton(value)}" for key, value in sorted(condition.items())) + "}"
    if isinstance(condition, list):
        return "[" + " ".join(sorted(_skeleton(item) for item in condition)) + "]"
    return "."


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return round(len(one & other) / len(one | other), 3) if one | other else 1.0


# ---- what the words give away


def _brief(name: str, twin: str, seed: int) -> str:
    """What an agent is shown before its first step: system text, task, and the tools' schemas."""
    built = instance(name, twin, seed, None)
    return f"{built.system}\n{built.task}\n{json.dumps(msgspec.to_builtins(built.tools.schemas))}"


def _with_first_step(name: str, twin: str, seed: int) -> str:
    """The brief, and what the first call of the honest way returns."""
    env = ScenarioEnv(name)
    env.reset(seed=seed, options={"twin": twin})
    observation, *_ = env.step(next(iter(script_actions(env, "honest"))))
    return f"{_brief(name, twin, seed)}\n{observation['text']}"


def _twin_guesses(names: Sequence[str], seeds: int) -> list[Guess]:
    """How well a classifier that learned on the other families tells a twin from main in the one left out."""
    first = SEED_RANGES["evaluation"][0]
    found = []
    for shown, text_of in (("brief", _brief), ("brief and first step", _with_first_step)):
        texts, labels, groups = [], [], []
        for name in names:
            for twin in ("main", *family(name).spec.twins):
                for seed in range(first, first + seeds):
                    texts.append(text_of(name, twin, seed))
                    labels.append(twin != "main")
                    groups.append(name)
        aucs = _left_out(texts, labels, groups)
        found.append(_guess("twin", shown, aucs, "logistic regression on words, family left out"))
    return found


def _left_out(texts: Sequence[str], labels: Sequence[bool], groups: Sequence[str]) -> list[float]:
    """Return the AUC in every group, by a classifier trained on the others."""
    try:
        from sklearn.feature_extraction.text import CountVectorizer  # an extra, for the audit alone
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score
        from sklearn.pipeline import make_pipeline
    except ImportError:
        raise OptionError("the audit needs scikit-learn; pip install 'impress-env[audit]'") from None
    found = []
    for group in dict.fromkeys(groups):
        learn = [i for i, of in enumerate(groups) if of != group]
        ask = [i for i, of in enumerate(groups) if of == group]
        model = make_pipeline(
            CountVectorizer(lowercase=True, min_df=2, binary=True),
            LogisticRegression(max_iter=400, class_weight="balanced"),
        )
        model.fit([texts[i] for i in learn], [labels[i] for i in learn])
        scores = model.decision_function([texts[i] for i in ask])
        found.append(float(roc_auc_score([labels[i] for i in ask], np.round(scores, 9))))
    return found


def _named(what: str, known: Mapping[str, str], names: Sequence[str]) -> Guess:
    """How well the brief's words point at the family's own risk or motive among all.

    As long as a risk has one family only, nothing can be learned from other families of it. So the brief is compared
    with the taxonomy's own sentences (tf-idf, cosine); a family's value is the share of the other sentences that are
    less like its brief.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise OptionError("the audit needs scikit-learn; pip install 'impress-env[audit]'") from None
    ids = list(known)
    sentences = [f"{word.replace('_', ' ')}: {known[word]}" for word in ids]
    seed = SEED_RANGES["evaluation"][0]
    briefs = [_brief(name, "main", seed) for name in names]
    vectors = TfidfVectorizer(lowercase=True, stop_words="english", sublinear_tf=True).fit(sentences + briefs)
    likeness_ = (vectors.transform(briefs) @ vectors.transform(sentences).T).toarray()
    shares = []
    for row, name in zip(likeness_, names, strict=True):
        own = row[ids.index(getattr(family(name).spec, what))]
        others = [value for word, value in zip(ids, row, strict=True) if word != getattr(family(name).spec, what)]
        shares.append(float(np.mean([(own > value) + 0.5 * (own == value) for value in others])))
    return _guess(what, "brief", shares, "likeness of the brief to the taxonomy's sentence, tf-idf")


def _guess(what: str, shown: str, values: Sequence[float], method: str) -> Guess:
    """The mean over families, with Student's interval over them, cut to 0..1."""
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = student_t_quantile(0.975, len(values) - 1) * error
    return Guess(
        what=what,
        shown=shown,
        auc=round(mean, 3),
        low=round(max(0.0, mean - reach), 3),
        high=round(min(1.0, mean + reach), 3),
        families=len(values),
        method=f"{method}; mean over families, Student's t",
    )


_MOTIVES: Final = {name: text for name, (_, text) in MOTIVES.items()}
