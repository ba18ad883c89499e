"""The statistics against closed forms, published examples, scipy, statsmodels and simulated known truth."""

import doctest
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from impress_env.evaluate import stats

UNEVEN = {"a": (1, 3), "b": (6, 8), "c": (0, 4), "d": (2, 2), "e": (5, 13)}


def attempts_of(table: dict[str, tuple[int, int]]) -> tuple[list[bool], list[str]]:
    """Outcomes and family names from hits and attempts of each family."""
    outcomes = [i < hits for hits, n in table.values() for i in range(n)]
    families = [family for family, (_, n) in table.items() for _ in range(n)]
    return outcomes, families


def pairs_of(table: dict[str, tuple[int, int, int, int]]) -> tuple[list[bool], list[bool], list[str]]:
    """Treated, control and family from each family's counts: newly, no longer, both, neither."""
    kinds = [(True, False), (False, True), (True, True), (False, False)]
    rows = [(*kinds[i], f) for f, counts in table.items() for i in range(4) for _ in range(counts[i])]
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


def cr2_by_matrices(values: list[float], families: list[str]) -> tuple[float, float]:
    """CR2 and Bell-McCaffrey as the papers print them, for an intercept, with whole matrices."""
    y, n = np.array(values), len(values)
    x = np.ones((n, 1))
    bread = np.linalg.inv(x.T @ x)
    residual_maker = np.eye(n) - x @ bread @ x.T
    e = residual_maker @ y
    variance, columns = 0.0, []
    for family in sorted(set(families)):
        inside = [i for i, f in enumerate(families) if f == family]
        roots, vectors = np.linalg.eigh(residual_maker[np.ix_(inside, inside)])
        adjusted = vectors @ np.diag(roots**-0.5) @ vectors.T
        variance += float((bread @ x[inside].T @ adjusted @ e[inside])[0]) ** 2
        columns.append(residual_maker[:, inside] @ adjusted @ x[inside] @ bread)
    g = np.hstack(columns)
    m = g.T @ g
    return variance, float(np.trace(m) ** 2 / np.trace(m @ m))


# Distributions


@pytest.mark.parametrize("df", [1, 1.0001, 1.37, 2, 2.5, 3.06, 7, 11.8, 39, 100.5, 9_999.9, 10_001, 1e6, 1e15])
def test_the_t_quantile_is_right_to_a_millionth_for_any_real_df(df: float) -> None:
    for p in [1e-12, 1e-6, 0.001, 0.025, 0.2, 0.45, 0.4999999, 0.5, 0.51, 0.8, 0.975, 0.9995, 1 - 1e-9]:
        assert stats.student_t_quantile(p, df) == pytest.approx(scipy_stats.t.ppf(p, df), rel=1e-7, abs=1e-9)


def test_the_t_quantile_has_its_closed_forms() -> None:
    for p in (0.6, 0.9, 0.975, 0.9999):
        assert stats.student_t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-9)
        two = (2 * p - 1) / math.sqrt(2 * p * (1 - p))
        assert stats.student_t_quantile(p, 2) == pytest.approx(two, rel=1e-9)
        assert stats.student_t_quantile(p, math.inf) == pytest.approx(scipy_stats.norm.ppf(p), rel=1e-9)
        assert stats.student_t_quantile(1 - p, 4.2) == pytest.approx(-stats.student_t_quantile(p, 4.2))


def test_the_t_quantile_falls_steadily_with_df_across_its_two_methods() -> None:
    found = [stats.student_t_quantile(0.975, df) for df in (9_990, 9_999, 10_000, 10_001, 10_010)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(("p", "df"), [(0.0, 3), (1.0, 3), (math.nan, 3), (0.9, 0.99), (0.9, math.nan)])
def test_the_t_quantile_refuses_what_has_none(p: float, df: float) -> None:
    with pytest.raises(ValueError, match=r"^(p|df): expected .* found"):
        stats.student_t_quantile(p, df)


# Attempts


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 40), (40, 40), (3, 11), (85, 400), (399, 400)])
def test_wilson_and_clopper_pearson_agree_with_statsmodels(hits: int, n: int, level: float) -> None:
    for found, method in ((stats.wilson, "wilson"), (stats.clopper_pearson, "beta")):
        interval = found(hits, n, level)
        expected = proportion_confint(hits, n, alpha=1 - level, method=method)
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)


def test_wilson_reproduces_newcombes_published_examples() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        interval = stats.wilson(hits, n)
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_the_interval_over_attempts_is_exact_where_all_came_out_alike() -> None:
    assert stats.attempt_interval(3, 10).method == "wilson"
    assert stats.attempt_interval(0, 10).method == stats.attempt_interval(10, 10).method == "clopper_pearson"
    assert stats.attempt_interval(0, 10).high == pytest.approx(1 - 0.025 ** (1 / 10), abs=1e-12)


@pytest.mark.parametrize(("hits", "n", "level"), [(1, 0, 0.95), (0, 0, 0.95), (-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1)])
def test_counts_and_levels_out_of_range_are_refused(hits: int, n: int, level: float) -> None:
    for interval in (stats.wilson, stats.clopper_pearson, stats.attempt_interval):
        with pytest.raises(ValueError, match=r"expected .* found"):
            interval(hits, n, level)


# A rate over families


def test_the_clustered_rate_is_cr2_and_bell_mccaffrey_as_printed() -> None:
    outcomes, families = attempts_of(UNEVEN)
    rate = stats.family_rate(outcomes, families)
    variance, df = cr2_by_matrices([float(o) for o in outcomes], families)
    p = 14 / 30
    assert rate.estimate == p
    assert rate.interval.method == "cr2_wilson"
    assert rate.interval.df == pytest.approx(df, rel=1e-9)
    assert rate.interval.effective == pytest.approx(p * (1 - p) / variance, rel=1e-9)


def test_the_limits_of_a_clustered_rate_are_where_the_score_test_stands_on_its_quantile() -> None:
    rate = stats.family_rate(*attempts_of(UNEVEN), level=0.9)
    interval, p = rate.interval, 14 / 30
    assert interval.df is not None
    assert interval.effective is not None
    t = scipy_stats.t.ppf(0.95, interval.df)
    for limit in (interval.low, interval.high):
        assert abs(p - limit) == pytest.approx(t * math.sqrt(limit * (1 - limit) / interval.effective))


def test_families_of_one_size_give_the_t_interval_of_their_means() -> None:
    hits = [2, 9, 4, 6, 1, 8, 5, 5]
    rate = stats.family_rate(*attempts_of({f"f{i}": (h, 10) for i, h in enumerate(hits)}))
    plain = scipy_stats.ttest_1samp([h / 10 for h in hits], 0).confidence_interval()
    t, interval = scipy_stats.t.ppf(0.975, 7), rate.interval
    assert rate.estimate == 0.5
    assert interval.df == pytest.approx(7)
    assert interval.effective is not None
    # At one half, Wilson's form is the plain one shrunk by 1 / sqrt(1 + t^2 / n).
    shrunk = (plain.high - plain.low) / math.sqrt(1 + t**2 / interval.effective)
    assert interval.high - interval.low == pytest.approx(shrunk)


def test_families_of_one_attempt_give_the_hc2_variance_of_statsmodels() -> None:
    outcomes = [i % 3 == 0 for i in range(20)]
    rate = stats.family_rate(outcomes, [f"f{i}" for i in range(20)])
    fit = OLS(np.array(outcomes, float), np.ones(20)).fit(cov_type="HC2")
    p = 7 / 20
    assert rate.interval.effective == pytest.approx(p * (1 - p) / float(fit.cov_params()[0, 0]))
    assert rate.interval.df == pytest.approx(19)


def test_an_interval_is_never_narrower_than_if_attempts_were_independent() -> None:
    rate = stats.family_rate(*attempts_of({"a": (6, 20), "b": (6, 20), "c": (6, 20), "d": (7, 20)}))
    independent = stats.wilson(25, 80)
    assert rate.interval.effective == 80
    assert rate.interval.low < independent.low
    assert rate.interval.high > independent.high


@pytest.mark.parametrize("count", [4, 12, 60])
def test_families_that_do_not_differ_at_all_still_get_an_interval_with_width(count: int) -> None:
    rate = stats.family_rate(*attempts_of({f"f{i}": (3, 9) for i in range(count)}))
    assert rate.interval.method == "cr2_wilson"
    assert rate.interval.effective == 9 * count
    assert rate.interval.low < 1 / 3 < rate.interval.high


@pytest.mark.parametrize("count", [2, 4, 39, 40, 72])
def test_no_hit_anywhere_counts_families_and_says_so(count: int) -> None:
    none = stats.family_rate(*attempts_of({f"f{i}": (0, 7) for i in range(count)}))
    every = stats.family_rate(*attempts_of({f"f{i}": (7, 7) for i in range(count)}))
    exact = scipy_stats.binomtest(0, count).proportion_ci()
    assert none.interval.method == every.interval.method == "clopper_pearson_families"
    assert "family as the unit" in none.interval.words
    assert (none.interval.low, none.interval.high) == pytest.approx((0, exact.high))
    assert (every.interval.low, every.interval.high) == pytest.approx((1 - exact.high, 1))


def test_one_family_falls_back_to_its_attempts_and_says_so() -> None:
    some, none = stats.family_rate(*attempts_of({"a": (3, 9)})), stats.family_rate([False] * 9, ["a"] * 9)
    assert some.interval == stats.wilson(3, 9)
    assert none.interval == stats.clopper_pearson(0, 9)
    assert "these families only" in some.interval.words


def test_no_attempt_has_no_estimate_and_excludes_nothing() -> None:
    rate = stats.family_rate([], [])
    assert (rate.estimate, rate.attempts, rate.families) == (None, 0, 0)
    assert (rate.interval.low, rate.interval.high, rate.interval.method) == (0, 1, "none")
    difference = stats.paired_difference([], [], [])
    assert (difference.estimate, difference.interval.low, difference.interval.high) == (None, -1, 1)


def test_the_order_of_attempts_changes_nothing() -> None:
    for table in (UNEVEN, {f"f{i}": (i % 4, 3 + i % 3) for i in range(50)}):
        outcomes, families = attempts_of(table)
        order = np.random.default_rng(5).permutation(len(outcomes))
        shuffled = stats.family_rate([outcomes[i] for i in order], [families[i] for i in order])
        assert shuffled == stats.family_rate(outcomes, families)


def test_counting_misses_in_place_of_hits_mirrors_the_interval() -> None:
    outcomes, families = attempts_of(UNEVEN)
    hits, misses = (stats.family_rate([o is kind for o in outcomes], families).interval for kind in (True, False))
    assert (misses.low, misses.high) == pytest.approx((1 - hits.high, 1 - hits.low))


def coverage(truth: float, count: int, size: int, correlation: float, rounds: int, seed: int) -> float:
    """How often the interval holds the truth, over beta-binomial families of one size."""
    rng = np.random.default_rng(seed)
    families = [f"f{i:02}" for i in range(count) for _ in range(size)]
    covered = 0
    for _ in range(rounds):
        rates = np.full(count, truth)
        if correlation:
            scale = (1 - correlation) / correlation
            rates = rng.beta(truth * scale, (1 - truth) * scale, size=count)
        outcomes = (rng.random((count, size)) < rates[:, None]).ravel().tolist()
        interval = stats.family_rate(outcomes, families).interval
        covered += interval.low <= truth <= interval.high
    return covered / rounds


@pytest.mark.parametrize("correlation", [0, 0.1, 0.3])
@pytest.mark.parametrize(("truth", "count", "size"), [(0.3, 4, 10), (0.3, 12, 5), (0.05, 4, 10), (0.05, 12, 5)])
def test_the_interval_covers_a_known_rate_with_few_families(
    truth: float, count: int, size: int, correlation: float
) -> None:
    # 600 rounds: three standard errors below 0.95 are 0.923.
    assert coverage(truth, count, size, correlation, rounds=600, seed=11) >= 0.923


def test_attempts_counted_as_independent_would_not_cover() -> None:
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(600):
        hits = int(rng.binomial(20, rng.beta(0.7, 1.633333, size=12)).sum())
        interval = stats.wilson(hits, 240)
        held += interval.low <= 0.3 <= interval.high
    assert held / 600 < 0.7


# The bootstrap, from 40 families


def test_the_bootstrap_agrees_with_scipys_bca_where_it_is_far_from_the_plain_percentile() -> None:
    table = {f"f{i:02}": (6 if i % 9 == 0 else i % 2 if i % 5 == 0 else 0, 7 + (i * 5) % 11) for i in range(45)}
    interval = stats.family_rate(*attempts_of(table), seed=3).interval
    hits, sizes = (np.array(column, float) for column in zip(*table.values(), strict=True))

    def pooled(hits: Any, sizes: Any, axis: int = -1) -> Any:
        return hits.sum(axis=axis) / sizes.sum(axis=axis)

    def theirs(method: str) -> tuple[float, float]:
        rng = np.random.default_rng(1)
        found = scipy_stats.bootstrap(
            (hits, sizes), pooled, paired=True, n_resamples=40_000, method=method, rng=rng
        ).confidence_interval
        return found.low, found.high

    bca, percentile = theirs("BCa"), theirs("percentile")
    assert interval.method == "cluster_bootstrap_bca"
    assert min(abs(np.subtract(bca, percentile))) > 0.006
    assert (interval.low, interval.high) == pytest.approx(bca, abs=0.0025)


def test_the_bootstrap_is_fixed_by_its_seed() -> None:
    attempts = attempts_of({f"f{i:02}": (i % 3, 5 + i % 7) for i in range(40)})
    assert stats.family_rate(*attempts, seed=1) == stats.family_rate(*attempts, seed=1)
    assert stats.family_rate(*attempts, seed=1) != stats.family_rate(*attempts, seed=2)


def test_the_method_changes_at_forty_families_and_the_interval_hardly() -> None:
    def at(count: int) -> stats.Interval:
        return stats.family_rate(*attempts_of({f"f{i:02}": (i % 4, 6) for i in range(count)})).interval

    below, above = at(39), at(40)
    assert (below.method, above.method) == ("cr2_wilson", "cluster_bootstrap_bca")
    assert (below.low, below.high) == pytest.approx((above.low, above.high), abs=0.02)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.9999])
def test_one_hit_in_many_families_keeps_the_bootstrap_within_bounds(level: float) -> None:
    attempts = attempts_of({f"f{i:02}": (int(i == 0), 3) for i in range(60)})
    interval = stats.family_rate(*attempts, level=level).interval
    assert interval.method == "cluster_bootstrap_bca"
    assert 0 <= interval.low <= 1 / 180 <= interval.high <= 1


# Paired differences


def test_the_paired_difference_reproduces_a_published_table() -> None:
    # Approval of the prime minister in two surveys: Agresti, Categorical Data Analysis, 2nd ed., table 10.1.
    result = stats.paired_difference(*pairs_of({"survey": (150, 86, 794, 570)}))
    assert (result.newly, result.no_longer, result.both, result.neither) == (150, 86, 794, 570)
    assert result.estimate == pytest.approx(0.04)
    assert result.interval.method == "agresti_min"
    assert (round(result.interval.low, 3), round(result.interval.high, 3)) == (0.021, 0.059)


def test_agresti_and_min_add_half_a_pair_to_each_cell() -> None:
    # Cells 3, 1, 2, 2 become 3.5, 1.5, 2.5, 2.5: the plain Wald interval of those ten pairs.
    result = stats.paired_difference(*pairs_of({"a": (3, 1, 2, 2)}))
    half = scipy_stats.norm.ppf(0.975) * math.sqrt((5 - 2**2 / 10) / 100)
    assert (result.interval.low, result.interval.high) == pytest.approx((0.2 - half, 0.2 + half))


def test_the_clustered_difference_is_cr2_and_bell_mccaffrey_as_printed() -> None:
    table = {"a": (3, 0, 1, 2), "b": (0, 1, 4, 1), "c": (5, 1, 0, 3), "d": (0, 0, 0, 4)}
    treated, control, families = pairs_of(table)
    result = stats.paired_difference(treated, control, families)
    values = [float(one) - float(other) for one, other in zip(treated, control, strict=True)]
    variance, df = cr2_by_matrices(values, families)
    spread = float(np.var(values))
    assert result.estimate == pytest.approx(6 / 25)
    assert result.interval.method == "cr2_agresti_min"
    assert result.interval.df == pytest.approx(df)
    assert result.interval.effective == pytest.approx(min(spread / variance, 25))


def test_with_many_pairs_the_difference_is_the_t_interval_of_family_means() -> None:
    table = {f"f{i:02}": (40 + (i * 37) % 50, 60 - i, 50, 90 + i - (i * 37) % 50) for i in range(30)}
    result = stats.paired_difference(*pairs_of(table))
    means = [(c[0] - c[1]) / sum(c) for c in table.values()]
    plain = scipy_stats.ttest_1samp(means, 0).confidence_interval()
    assert {sum(c) for c in table.values()} == {240}
    assert (result.interval.low, result.interval.high) == pytest.approx((plain.low, plain.high), abs=2e-3)


def test_swapping_the_conditions_mirrors_the_difference() -> None:
    for table in (
        {"a": (3, 0, 1, 2), "b": (0, 1, 4, 1), "c": (5, 1, 0, 3)},
        {"a": (0, 0, 2, 1), "b": (0, 0, 3, 0)},
        {"a": (4, 0, 0, 0), "b": (2, 0, 0, 0)},
        {"a": (3, 1, 2, 2)},
    ):
        treated, control, families = pairs_of(table)
        one = stats.paired_difference(treated, control, families).interval
        other = stats.paired_difference(control, treated, families).interval
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


def test_pairs_all_alike_count_families_and_bound_what_was_not_seen() -> None:
    unseen = 1 - 0.025 ** (1 / 3)
    same = stats.paired_difference(*pairs_of(dict.fromkeys("abc", (0, 0, 2, 3))))
    worse = stats.paired_difference(*pairs_of(dict.fromkeys("abc", (4, 0, 0, 0))))
    assert same.interval.method == worse.interval.method == "clopper_pearson_families"
    assert (same.interval.low, same.interval.high) == pytest.approx((-unseen, unseen))
    assert (worse.interval.low, worse.interval.high) == pytest.approx((1 - 2 * unseen, 1))
    alone = stats.paired_difference(*pairs_of({"a": (0, 0, 2, 3)}))
    assert alone.interval.method == "clopper_pearson"
    assert alone.interval.high == pytest.approx(1 - 0.025 ** (1 / 5))


def test_from_forty_families_the_difference_is_bootstrapped() -> None:
    table = {f"f{i:02}": (i % 3, (i // 2) % 2, 2, 3) for i in range(48)}
    interval = stats.paired_difference(*pairs_of(table)).interval
    assert interval.method == "cluster_bootstrap_bca"
    assert interval.low < 24 / sum(map(sum, table.values())) < interval.high


@pytest.mark.parametrize("correlation", [0, 0.2])
@pytest.mark.parametrize(("count", "size"), [(4, 10), (12, 5)])
def test_the_interval_covers_a_known_difference_with_few_families(count: int, size: int, correlation: float) -> None:
    rng = np.random.default_rng(21)
    cells = np.array([0.25, 0.05, 0.2, 0.5])
    families = [f"f{i:02}" for i in range(count) for _ in range(size)]
    treated_of, control_of = np.array([True, False, True, False]), np.array([False, True, True, False])
    covered = 0
    for _ in range(500):
        shares = np.tile(cells, (count, 1))
        if correlation:
            shares = rng.dirichlet(cells * (1 - correlation) / correlation, size=count)
        drawn = np.concatenate([rng.choice(4, size=size, p=share) for share in shares])
        interval = stats.paired_difference(treated_of[drawn].tolist(), control_of[drawn].tolist(), families).interval
        covered += interval.low <= 0.2 <= interval.high
    # 500 rounds: three standard errors below 0.95 are 0.921.
    assert covered / 500 >= 0.921


# Attempts without a verdict


def test_missing_verdicts_widen_the_rate_to_both_extremes() -> None:
    outcomes: list[bool | None] = [True, None, False, False, None, False, True, False]
    families = list("aabbccdd")
    bounds = stats.rate_bounds(outcomes, families)
    assert bounds.missing == 2
    assert bounds.observed.estimate == pytest.approx(2 / 6)
    assert (bounds.if_none.estimate, bounds.if_all.estimate) == (2 / 8, 4 / 8)
    assert bounds.low == bounds.if_none.interval.low
    assert bounds.high == bounds.if_all.interval.high


def test_without_missing_verdicts_the_bounds_are_the_rate() -> None:
    outcomes, families = attempts_of(UNEVEN)
    rate, bounds = stats.family_rate(outcomes, families), stats.rate_bounds(outcomes, families)
    assert bounds.observed == bounds.if_none == bounds.if_all == rate
    treated, control, names = pairs_of({"a": (3, 0, 1, 2), "b": (0, 1, 4, 1)})
    both = stats.difference_bounds(treated, control, names)
    expected = stats.paired_difference(treated, control, names)
    assert both.observed == both.lowest == both.highest == expected


def test_no_verdict_at_all_bounds_nothing() -> None:
    bounds = stats.rate_bounds([None] * 6, list("aabbcc"))
    assert bounds.observed.estimate is None
    assert (bounds.low, bounds.high) == (0, 1)


def test_missing_verdicts_of_a_pair_are_taken_the_worst_way_round() -> None:
    treated = [True, None, False, None, False, True]
    control = [False, False, None, None, True, True]
    bounds = stats.difference_bounds(treated, control, list("aabbcc"))
    assert (bounds.missing, bounds.observed.pairs) == (3, 3)
    assert bounds.observed.estimate == 0
    assert (bounds.lowest.estimate, bounds.highest.estimate) == (-2 / 6, 2 / 6)
    assert bounds.low <= bounds.observed.interval.low
    assert bounds.high >= bounds.observed.interval.high


def test_every_way_of_filling_the_gaps_lies_within_the_bounds() -> None:
    rng = np.random.default_rng(31)
    families = [f"f{i % 5}" for i in range(20)]
    truth = (rng.random(20) < 0.4).tolist()
    missing = rng.random(20) < 0.3
    bounds = stats.rate_bounds([None if gone else t for t, gone in zip(truth, missing, strict=True)], families)
    assert bounds.if_none.estimate is not None
    assert bounds.if_all.estimate is not None
    assert bounds.if_none.estimate <= sum(truth) / 20 <= bounds.if_all.estimate


# Both


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.family_rate([True], []),
        lambda: stats.paired_difference([True], [True, False], ["a"]),
        lambda: stats.rate_bounds([None], ["a", "b"]),
        lambda: stats.difference_bounds([None], [], ["a"]),
        lambda: stats.family_rate([True], ["a"], level=0),
    ],
)
def test_lengths_that_differ_and_levels_out_of_range_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"expected .* found"):
        call()


def test_results_are_frozen() -> None:
    rate = stats.family_rate([True, False], ["a", "b"])
    with pytest.raises(AttributeError):
        rate.hits = 3  # type: ignore[misc]


def test_every_method_is_explained() -> None:
    assert set(stats.METHODS) == set(stats.Method.__args__)  # type: ignore[attr-defined]


def test_the_examples_in_the_docstrings_run() -> None:
    result = doctest.testmod(stats)
    assert result.attempted > 5
    assert result.failed == 0
