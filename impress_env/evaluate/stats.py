"""Rates and paired differences over families x attempts, with intervals that hold for few families.

Pure functions of outcomes and family names: the same input and seed give the same numbers, whatever the order
of the attempts. Every interval names its method, and where the usual one does not apply (no hit at all, one
family) it says which one stands in. The families are taken as a sample: an interval speaks of families like
these, and of these very families only where its method counts attempts.

Knows nothing of episodes, runs, verdicts or the rest of the package. numpy alone; no scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

FEW_FAMILIES = 40
"""Below this many families: CR2 and Student's t; from here on: the cluster bootstrap."""
RESAMPLES = 10_000
"""Bootstrap resamples of families."""

Method = Literal[
    "none",
    "wilson",
    "clopper_pearson",
    "agresti_min",
    "clopper_pearson_families",
    "cr2_wilson",
    "cr2_agresti_min",
    "cluster_bootstrap_bca",
]

METHODS: dict[Method, str] = {
    "none": "no attempt with a verdict: anything is possible",
    "wilson": "Wilson over attempts: speaks of these families only, or of a single one",
    "clopper_pearson": "Clopper-Pearson over attempts: speaks of these families only, or of a single one",
    "agresti_min": "Agresti-Min over pairs: speaks of a single family",
    "clopper_pearson_families": "Clopper-Pearson with a family as the unit: every attempt came out alike, so "
    "how far attempts of one family go together cannot be seen, and the worst is assumed",
    "cr2_wilson": "Wilson form on the CR2 variance over families, t with Bell-McCaffrey degrees of freedom",
    "cr2_agresti_min": "Agresti-Min form on the CR2 variance over families, t with Bell-McCaffrey degrees of freedom",
    "cluster_bootstrap_bca": "BCa bootstrap over families, 10,000 resamples",
}
"""What each method is, in words a report can print beside the interval."""

_Floats = npt.NDArray[np.float64]
_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A two-sided confidence interval, and how it came about."""

    low: float
    high: float
    level: float
    """Nominal coverage, between 0 and 1."""
    method: Method
    df: float | None = None
    """Degrees of freedom of Student's t; None where the method has none."""
    effective: float | None = None
    """How many independent attempts (or pairs) the interval counts with; None for the bootstrap."""

    @property
    def words(self) -> str:
        """The method in words."""
        return METHODS[self.method]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Hits over attempts, pooled over families, with its interval."""

    hits: int
    attempts: int
    families: int
    interval: Interval

    @property
    def estimate(self) -> float | None:
        """Hits over attempts; None, never 0, where there was no attempt."""
        return self.hits / self.attempts if self.attempts else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The treated rate minus the control rate over pairs of attempts, with its interval."""

    newly: int
    """Pairs with a hit under treatment alone."""
    no_longer: int
    """Pairs with a hit under control alone."""
    both: int
    neither: int
    families: int
    interval: Interval

    @property
    def pairs(self) -> int:
        """All pairs, alike or not."""
        return self.newly + self.no_longer + self.both + self.neither

    @property
    def estimate(self) -> float | None:
        """Treated minus control, between -1 and 1; None where there was no pair."""
        return (self.newly - self.no_longer) / self.pairs if self.pairs else None


@dataclass(frozen=True, kw_only=True, slots=True)
class RateBounds:
    """A rate when some attempts have no verdict: what they could make of it at the worst."""

    missing: int
    observed: Rate
    """Over the attempts that have a verdict."""
    if_none: Rate
    """Had every missing attempt been no hit."""
    if_all: Rate
    """Had every missing attempt been a hit."""

    @property
    def low(self) -> float:
        """The lower limit of the lower extreme."""
        return self.if_none.interval.low

    @property
    def high(self) -> float:
        """The upper limit of the upper extreme."""
        return self.if_all.interval.high


@dataclass(frozen=True, kw_only=True, slots=True)
class DifferenceBounds:
    """A paired difference when some attempts have no verdict: what they could make of it at the worst."""

    missing: int
    """Pairs in which at least one side has no verdict."""
    observed: Difference
    """Over the pairs that have both verdicts."""
    lowest: Difference
    """Had the missing attempts been no hit under treatment and a hit under control."""
    highest: Difference
    """Had the missing attempts been a hit under treatment and no hit under control."""

    @property
    def low(self) -> float:
        """The lower limit of the lower extreme."""
        return self.lowest.interval.low

    @property
    def high(self) -> float:
        """The upper limit of the upper extreme."""
        return self.highest.interval.high


# Intervals over attempts


def wilson(hits: int, attempts: int, level: float = 0.95) -> Interval:
    """The score interval of a proportion.

    Source: E. B. Wilson, JASA 22 (1927) 209-212; Brown, Cai, DasGupta, Statistical Science 16 (2001) 101-133.

    Raises:
        ValueError: hits not within 0..attempts, no attempt, or a level outside (0, 1).

    >>> interval = wilson(12, 40)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.1807, 0.4543)
    """
    _check_counts(hits, attempts, level)
    low, high = _score_limits(hits / attempts, attempts, _z(level))
    return Interval(low=low, high=high, level=level, method="wilson", effective=float(attempts))


def clopper_pearson(hits: int, attempts: int, level: float = 0.95) -> Interval:
    """The exact interval of a proportion, from quantiles of the beta distribution.

    Source: Clopper and Pearson, Biometrika 26 (1934) 404-413; beta form in Brown, Cai, DasGupta (2001).

    Raises:
        ValueError: hits not within 0..attempts, no attempt, or a level outside (0, 1).

    >>> interval = clopper_pearson(0, 20)
    >>> interval.low, round(interval.high, 4)
    (0.0, 0.1684)
    """
    _check_counts(hits, attempts, level)
    alpha, misses = 1 - level, attempts - hits
    low = _beta_quantile(alpha / 2, hits, misses + 1) if hits else 0.0
    high = 1 - _beta_quantile(alpha / 2, misses, hits + 1) if misses else 1.0
    return Interval(low=low, high=high, level=level, method="clopper_pearson", effective=float(attempts))


def attempt_interval(hits: int, attempts: int, level: float = 0.95) -> Interval:
    """Wilson's interval, and Clopper-Pearson's where every attempt came out alike.

    It counts attempts as independent, so over several families it speaks of those families only.

    Raises:
        ValueError: hits not within 0..attempts, no attempt, or a level outside (0, 1).
    """
    alike = hits in (0, attempts)
    return clopper_pearson(hits, attempts, level) if alike else wilson(hits, attempts, level)


# Rates and differences over families


def family_rate(outcomes: Sequence[bool], families: Sequence[str], *, level: float = 0.95, seed: int = 0) -> Rate:
    """The rate over all attempts, with an interval clustered by family.

    Below 40 families: the CR2 variance of the pooled rate (Bell and McCaffrey, Survey Methodology 28 (2002)
    169-181, closed form for an intercept in `cr2`), Student's t with their Satterthwaite degrees of freedom,
    and both put into Wilson's form through the effective number of attempts p(1-p)/V (Franco, Little, Louis,
    Slud, J. Survey Statistics and Methodology 7 (2019) 334-364), capped at the attempts there were (Korn and
    Graubard, Survey Methodology 24 (1998) 193-201). Measured on beta-binomial families (4 x 20, 12 x 10, 12 x
    3 and 30 x 3 attempts, rates from 0.02 to 0.5, intra-class correlation 0, 0.1, 0.3) at nominal 0.95: this
    covers 0.93 to 1.00 and the plain p +- t sqrt(V) 0.86 to 1.00.

    From 40 families: BCa bootstrap over families (Efron, JASA 82 (1987) 171-185), 10,000 resamples from
    `seed`.

    Every attempt alike (0/n or n/n): Clopper-Pearson with the family as the unit, valid however closely
    attempts of a family go together, since P(no hit in a family) <= 1 - rate; over attempts it would cover
    0.68 at a rate of 0.05 in 4 x 20 attempts with correlation 0.3. One family: `attempt_interval`.

    Args:
        outcomes: One per attempt, True for a hit.
        families: The family of each attempt, in the same order.
        level: Nominal coverage, between 0 and 1.
        seed: Of the bootstrap.

    Raises:
        ValueError: lengths that differ, or a level outside (0, 1).

    >>> rate = family_rate([True, False, False, False], ["a", "a", "b", "b"])
    >>> rate.estimate, rate.interval.method
    (0.25, 'cr2_wilson')
    """
    _check_lengths(level, families, outcomes)
    sizes, sums = _clusters(families, [int(outcome) for outcome in outcomes])
    hits, attempts, count = round(float(sums.sum())), len(outcomes), len(sizes)
    if attempts == 0:
        interval = Interval(low=0.0, high=1.0, level=level, method="none")
    elif count == 1:
        interval = attempt_interval(hits, attempts, level)
    elif hits in (0, attempts):
        slack = _unseen(count, level)
        low, high = (0.0, slack) if hits == 0 else (1 - slack, 1.0)
        interval = _by_families(low, high, level, count)
    else:
        variance, df = cr2(sizes, sums)
        if count >= FEW_FAMILIES and variance > 0:
            interval = bca(sizes, sums, level, seed)
        else:
            spread = hits / attempts * (1 - hits / attempts)
            effective = _effective(spread, variance, attempts)
            low, high = _score_limits(hits / attempts, effective, _t(level, df))
            interval = Interval(low=low, high=high, level=level, method="cr2_wilson", df=df, effective=effective)
    return Rate(hits=hits, attempts=attempts, families=count, interval=interval)


def paired_difference(
    treated: Sequence[bool],
    control: Sequence[bool],
    families: Sequence[str],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """The risk difference, treated minus control, over pairs of attempts, clustered by family.

    A pair is the same instance and attempt under two conditions; its difference is -1, 0 or 1.

    Below 40 families: the CR2 variance of the mean difference and Student's t as in `family_rate`, in the
    form of Agresti and Min (Statistics in Medicine 24 (2005) 729-740: half a pair added to each of the four
    cells) with the pairs scaled to their effective number. From 40: BCa bootstrap over families. Every pair
    alike: Clopper-Pearson with the family as the unit, on the share of pairs that differ from the rest. One
    family: Agresti-Min over its pairs, or Clopper-Pearson over them where all are alike.

    Args:
        treated: One per pair, True for a hit.
        control: One per pair, in the same order.
        families: The family of each pair, in the same order.
        level: Nominal coverage, between 0 and 1.
        seed: Of the bootstrap.

    Raises:
        ValueError: lengths that differ, or a level outside (0, 1).

    >>> families = ["a", "a", "b", "b"]
    >>> result = paired_difference([True, True, False, False], [False, True, False, False], families)
    >>> result.estimate, result.newly, result.no_longer
    (0.25, 1, 0)
    """
    _check_lengths(level, families, treated, control)
    pairs = [(bool(one), bool(other)) for one, other in zip(treated, control, strict=True)]
    newly, no_longer = pairs.count((True, False)), pairs.count((False, True))
    both, neither = pairs.count((True, True)), pairs.count((False, False))
    sizes, sums = _clusters(families, [int(one) - int(other) for one, other in pairs])
    n, count = len(pairs), len(sizes)
    if n == 0:
        interval = Interval(low=-1.0, high=1.0, level=level, method="none")
    elif newly == n or no_longer == n or newly == no_longer == 0:
        low, high = _alike_difference((newly - no_longer) // n, _unseen(n if count == 1 else count, level))
        interval = (
            Interval(low=low, high=high, level=level, method="clopper_pearson", effective=float(n))
            if count == 1
            else _by_families(low, high, level, count)
        )
    elif count == 1:
        low, high = _agresti_min(newly, no_longer, n, _z(level))
        interval = Interval(low=low, high=high, level=level, method="agresti_min", effective=float(n))
    else:
        variance, df = cr2(sizes, sums)
        if count >= FEW_FAMILIES and variance > 0:
            interval = bca(sizes, sums, level, seed)
        else:
            spread = (newly + no_longer) / n - ((newly - no_longer) / n) ** 2
            effective = _effective(spread, variance, n)
            share = effective / n
            low, high = _agresti_min(newly * share, no_longer * share, effective, _t(level, df))
            interval = Interval(low=low, high=high, level=level, method="cr2_agresti_min", df=df, effective=effective)
    return Difference(newly=newly, no_longer=no_longer, both=both, neither=neither, families=count, interval=interval)


# Worst cases


def rate_bounds(
    outcomes: Sequence[bool | None], families: Sequence[str], *, level: float = 0.95, seed: int = 0
) -> RateBounds:
    """The rate with every missing verdict taken as no hit, and as a hit.

    Source: Manski, American Economic Review 80(2) (1990) 319-323; Horowitz and Manski, JASA 95 (2000) 77-84:
    without an assumption on why a verdict is missing, the rate lies between hits/n and (hits + missing)/n.
    `low` and `high` also take each extreme's own interval, so they hold at the level at least.

    Args:
        outcomes: One per attempt: True, False, or None where there is no verdict.
        families: The family of each attempt, in the same order.
        level: Nominal coverage, between 0 and 1.
        seed: Of the bootstrap.

    Raises:
        ValueError: lengths that differ, or a level outside (0, 1).

    >>> bounds = rate_bounds([True, False, None, False], ["a", "a", "b", "b"])
    >>> bounds.if_none.estimate, bounds.if_all.estimate, bounds.missing
    (0.25, 0.5, 1)
    """
    _check_lengths(level, families, outcomes)
    known = [(outcome, family) for outcome, family in zip(outcomes, families, strict=True) if outcome is not None]
    return RateBounds(
        missing=len(outcomes) - len(known),
        observed=family_rate([o for o, _ in known], [f for _, f in known], level=level, seed=seed),
        if_none=family_rate(_filled(outcomes, False), families, level=level, seed=seed),
        if_all=family_rate(_filled(outcomes, True), families, level=level, seed=seed),
    )


def difference_bounds(
    treated: Sequence[bool | None],
    control: Sequence[bool | None],
    families: Sequence[str],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> DifferenceBounds:
    """The paired difference with every missing verdict taken as what lowers it, and as what raises it.

    Source: as `rate_bounds`.

    Args:
        treated: One per pair: True, False, or None where there is no verdict.
        control: One per pair, in the same order.
        families: The family of each pair, in the same order.
        level: Nominal coverage, between 0 and 1.
        seed: Of the bootstrap.

    Raises:
        ValueError: lengths that differ, or a level outside (0, 1).
    """
    _check_lengths(level, families, treated, control)
    known = [
        (one, other, family)
        for one, other, family in zip(treated, control, families, strict=True)
        if one is not None and other is not None
    ]

    def filled(missing_treated: bool) -> Difference:
        one, other = _filled(treated, missing_treated), _filled(control, not missing_treated)
        return paired_difference(one, other, families, level=level, seed=seed)

    return DifferenceBounds(
        missing=len(families) - len(known),
        observed=paired_difference(
            [k[0] for k in known], [k[1] for k in known], [k[2] for k in known], level=level, seed=seed
        ),
        lowest=filled(False),
        highest=filled(True),
    )


# Distributions


def student_t_quantile(p: float, df: float) -> float:
    """The p-quantile of Student's t, to within 1e-6 (relative beyond 1) for every real df of 1 or more.

    The upper tail is half the regularised incomplete beta I_x(df/2, 1/2) at x = df/(df + t^2) (Abramowitz and
    Stegun 26.5.27), inverted by bisection between the normal and the Cauchy quantile, which enclose it.
    Beyond df = 10,000 the expansion about the normal quantile (26.7.5), whose next term is then below 1e-10.

    Args:
        p: Between 0 and 1, both excluded.
        df: Degrees of freedom, 1 or more; infinity gives the normal quantile.

    Raises:
        ValueError: p not strictly between 0 and 1, or df below 1.

    >>> round(student_t_quantile(0.975, 3), 6)
    3.182446
    """
    if not 0 < p < 1:
        raise ValueError(f"p: expected a number strictly between 0 and 1, found {p!r}")
    if not df >= 1:
        raise ValueError(f"df: expected a number of 1 or more, found {df!r}")
    tail = min(p, 1 - p)
    z = -_NORMAL.inv_cdf(tail)
    if df > 10_000:
        t = _t_about_normal(z, df)
    else:
        t = _bisect(lambda t: tail - _t_tail(t, df), z, 1 / math.tan(math.pi * tail) if tail < 0.5 else z)
    return t if p >= 0.5 else -t


def _t_tail(t: float, df: float) -> float:
    """P(T > t) for t >= 0."""
    whole = df + t * t
    return _incomplete_beta(df / 2, 0.5, df / whole, t * t / whole) / 2


def _t_about_normal(z: float, df: float) -> float:
    """Abramowitz and Stegun 26.7.5, three terms."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / df**power for power, term in enumerate(terms, start=1))


def _beta_quantile(p: float, a: float, b: float) -> float:
    """The p-quantile of the beta distribution with a, b > 0."""
    return _bisect(lambda x: _incomplete_beta(a, b, x, 1 - x) - p, 0.0, 1.0)


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """Regularised incomplete beta I_x(a, b), with y = 1 - x given apart so that neither is rounded.

    Source: continued fraction of Abramowitz and Stegun 26.5.8, evaluated by the modified Lentz method
    (Numerical Recipes, 3rd ed., section 6.4); it converges within about sqrt(max(a, b)) terms on its side of
    the mean.
    """
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    if x * (a + b + 2) > a + 1:
        return 1 - _incomplete_beta(b, a, y, x)
    log_front = a * math.log(x) + b * math.log(y) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1 + coefficient * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + coefficient / c
            c = c if abs(c) > tiny else tiny
            fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            return math.exp(log_front) * fraction / a
    raise ArithmeticError(f"the incomplete beta did not converge at a={a!r}, b={b!r}, x={x!r}")


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function crosses zero between low and high, to the last bit that halving reaches."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        if rising(middle) < 0:
            low = middle
        else:
            high = middle


# Parts of the intervals


def _clusters(families: Sequence[str], values: Sequence[int]) -> tuple[_Floats, _Floats]:
    """How many attempts each family has and the sum of their values, families in order of their names."""
    totals: dict[str, tuple[int, int]] = {}
    for family, value in zip(families, values, strict=True):
        size, total = totals.get(family, (0, 0))
        totals[family] = (size + 1, total + value)
    ordered = [totals[family] for family in sorted(totals)]
    return np.array([size for size, _ in ordered], float), np.array([total for _, total in ordered], float)


def cr2(sizes: _Floats, sums: _Floats) -> tuple[float, float]:
    """The CR2 variance of a pooled mean over at least two families, and its degrees of freedom.

    Source: Bell and McCaffrey (2002); Pustejovsky and Tipton, J. Business & Economic Statistics 36 (2018)
    672-683, with X a column of ones, working covariance I and families of n_g among N attempts. Then H_gg =
    J/N and (I - H_gg)^(-1/2) 1 = 1 / sqrt(1 - n_g/N), so that

        V = sum_g (sum of residuals in g)^2 / (1 - n_g/N) / N^2
        df = tr(M)^2 / tr(M^2),  M_gh = a_g a_h (n_g [g = h] - n_g n_h / N),  a_g = 1 / sqrt(1 - n_g/N)

    With K families of one size this is s^2/K of the family means, on K - 1 degrees of freedom.
    """
    total = float(sizes.sum())
    residuals = sums - sizes * (float(sums.sum()) / total)
    weights = 1 / np.sqrt(1 - sizes / total)
    # Families of equal rates leave residuals of the order of rounding: those are zero.
    residuals[np.abs(residuals) < 1e-9] = 0.0
    variance = float(np.sum((weights * residuals) ** 2)) / total**2
    moments = np.outer(weights, weights) * (np.diag(sizes) - np.outer(sizes, sizes) / total)
    df = float(np.trace(moments)) ** 2 / float(np.sum(moments * moments))
    return variance, max(df, 1.0)


def bca(sizes: _Floats, sums: _Floats, level: float, seed: int) -> Interval:
    """BCa bootstrap of the pooled mean over families; acceleration from the families' jackknife.

    Source: Efron, JASA 82 (1987) 171-185; Efron and Tibshirani, An Introduction to the Bootstrap (1993), eqs.
    14.9-14.15; ties count half in the bias correction. The families' rates must not all be equal.
    """
    count = len(sizes)
    generator = np.random.Generator(np.random.PCG64(seed))
    draws = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    means = np.sort((draws @ sums) / (draws @ sizes))
    estimate = float(sums.sum() / sizes.sum())
    tolerance = 1e-12
    below = np.searchsorted(means, estimate - tolerance) + np.searchsorted(means, estimate + tolerance)
    share = min(max(float(below) / (2 * RESAMPLES), 1 / RESAMPLES), 1 - 1 / RESAMPLES)
    bias = _NORMAL.inv_cdf(share)
    left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
    pulls = left_out.mean() - left_out
    acceleration = float(np.sum(pulls**3) / (6 * np.sum(pulls**2) ** 1.5))

    def limit(z: float) -> float:
        # Past the pole (only at levels near 1) the limit is the end of the resampled range.
        shifted = bias + (bias + z) / max(1 - acceleration * (bias + z), 1e-9)
        return float(np.quantile(means, _NORMAL.cdf(shifted)))

    z = _z(level)
    return Interval(low=limit(-z), high=limit(z), level=level, method="cluster_bootstrap_bca")


def _score_limits(p: float, n: float, z: float) -> tuple[float, float]:
    """The x for which |p - x| = z sqrt(x (1 - x) / n)."""
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _agresti_min(newly: float, no_longer: float, n: float, z: float) -> tuple[float, float]:
    """Agresti and Min (2005): Wald's limits after adding a half to each of the four cells."""
    n, difference = n + 2, newly - no_longer
    half = z * math.sqrt(newly + no_longer + 1 - difference**2 / n) / n
    return max(difference / n - half, -1.0), min(difference / n + half, 1.0)


def _unseen(units: int, level: float) -> float:
    """Clopper-Pearson's upper limit for what none of so many units showed, in closed form."""
    return float(1 - ((1 - level) / 2) ** (1 / units))


def _alike_difference(value: int, unseen: float) -> tuple[float, float]:
    """Limits of a mean over [-1, 1] when every pair had one value, and at most `unseen` have another."""
    return value * (1 - unseen) - unseen, value * (1 - unseen) + unseen


def _by_families(low: float, high: float, level: float, count: int) -> Interval:
    return Interval(low=low, high=high, level=level, method="clopper_pearson_families", effective=float(count))


def _effective(spread: float, variance: float, n: int) -> float:
    """How many independent attempts would have this variance; no more than there were."""
    return min(spread / variance, float(n)) if variance > 0 else float(n)


def _filled(outcomes: Sequence[bool | None], missing: bool) -> list[bool]:
    return [missing if outcome is None else outcome for outcome in outcomes]


def _z(level: float) -> float:
    return _NORMAL.inv_cdf((1 + level) / 2)


def _t(level: float, df: float) -> float:
    return student_t_quantile((1 + level) / 2, df)


def _check_counts(hits: int, attempts: int, level: float) -> None:
    _check_level(level)
    if not 0 <= hits <= attempts or attempts == 0:
        raise ValueError(f"expected 0 <= hits <= attempts and at least one attempt, found {hits!r} of {attempts!r}")


def _check_lengths(level: float, families: Sequence[str], *outcomes: Sequence[bool | None]) -> None:
    _check_level(level)
    lengths = [len(families), *map(len, outcomes)]
    if len(set(lengths)) != 1:
        raise ValueError(f"expected one outcome a family name, found lengths {lengths}")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number strictly between 0 and 1, found {level!r}")
