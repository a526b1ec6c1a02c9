import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lightning_modules.probe import LinearProbe, Standardisation, fit_probe


def _data(n_classes: int, per_class: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(n_classes, 12))
    labels = np.repeat(np.arange(n_classes), per_class)
    return centres[labels] + rng.normal(scale=0.8, size=(len(labels), 12)), labels


@pytest.mark.parametrize("n_classes", [2, 5])
def test_the_gradient_is_zero_at_the_solution(n_classes: int) -> None:
    features, labels = _data(n_classes, 8)
    probe = fit_probe(features, labels, n_classes, Standardisation.of(features), c=0.7)
    x = probe.standardisation(features)
    residual = probe.probabilities(features) - np.eye(n_classes)[labels]
    # For two classes the penalty is on the difference of the rows, which halves what each row sees.
    penalty = probe.weight / 0.7 * (2 if n_classes == 2 else 1)
    # The solver stops at a gradient of 1e-6 per window.
    assert residual.T @ x + penalty == pytest.approx(np.zeros((n_classes, 12)), abs=1e-3)
    assert residual.sum(axis=0) == pytest.approx(np.zeros(n_classes), abs=1e-3)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_probabilities_are_those_of_scikit_learn(n_classes: int) -> None:
    features, labels = _data(n_classes, 8)
    test, _ = _data(n_classes, 30, seed=1)
    standardisation = Standardisation.of(features)
    probe = fit_probe(features, labels, n_classes, standardisation, c=1.0)
    reference = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000)
    reference.fit(standardisation(features), labels)
    expected = reference.predict_proba(standardisation(test))
    assert probe.probabilities(test) == pytest.approx(expected, abs=1e-3)  # where two solvers stop


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1300])
def test_logits_of_many_windows_are_those_of_one_product(count: int) -> None:
    rng = np.random.default_rng(count)
    features = rng.normal(3, 2, size=(count, 9)).astype(np.float32)
    probe = LinearProbe(
        Standardisation(rng.normal(size=9), rng.uniform(1, 2, 9)), rng.normal(size=(4, 9)), np.arange(4.0)
    )
    logits = probe.standardisation(features) @ probe.weight.T + probe.bias
    kept = probe.logits(features)
    # Sums of nine numbers below 100 in double precision, in another order.
    assert kept == pytest.approx(logits, abs=1e-11)
    assert probe.probabilities(features) == pytest.approx(softmax(logits, axis=1), abs=1e-12)


def test_one_window_a_class() -> None:
    features, labels = _data(5, 1)
    pool, _ = _data(5, 40, seed=2)
    probe = fit_probe(features, labels, 5, Standardisation.of(pool), c=1.0)
    assert (probe.probabilities(features).argmax(1) == labels).all()


def test_a_class_without_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="class 1"):
        fit_probe(np.zeros((2, 3)), np.array([0, 2]), 3, Standardisation.of(np.zeros((2, 3))), 1.0)


@given(st.integers(0, 2**32), st.integers(1, 40), st.lists(st.integers(0, 40), max_size=4))
def test_mean_and_scale_do_not_depend_on_how_features_come(seed: int, n: int, cuts: list[int]) -> None:
    features = np.random.default_rng(seed).normal(100, [1e-3, 1, 50], (n, 3)).astype(np.float32)
    whole = Standardisation.of(features)
    parts = Standardisation.over(np.split(features, sorted(cut % n for cut in cuts)))  # some may be empty
    # Sums in another order: some of float64's 16 digits, of deviations five more as the mean is 1e5 times as large.
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-7)
    wide = features.astype(np.float64)
    np.testing.assert_allclose(whole.mean, wide.mean(axis=0), rtol=1e-12)
    changing = wide.std(axis=0) > 1e-3
    np.testing.assert_allclose(whole.scale[changing], wide.std(axis=0)[changing], rtol=1e-12)


def test_no_features_have_no_mean() -> None:
    with pytest.raises(ValueError, match="no features"):
        Standardisation.over([])
    with pytest.raises(ValueError, match="no features"):
        Standardisation.of(np.zeros((0, 3)))


def test_constant_features_are_centred_only() -> None:
    features = np.column_stack([np.full(4, 5.0), np.arange(4.0)])
    standardised = Standardisation.of(features)(features)
    assert (standardised[:, 0] == 0).all()
    assert standardised[:, 1].std() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n_classes", "per_class"), [(2, 1), (2, 50), (5, 5), (12, 20)])
@pytest.mark.parametrize("c", [0.05, 1.0, 100.0])
def test_accuracy_is_that_of_plain_scikit_learn(n_classes: int, per_class: int, seed: int, c: float) -> None:
    """StandardScaler and LogisticRegression, as anyone would write it; accuracy to 1 window in 1000."""
    features, labels = _data(n_classes, per_class, seed)
    test, truth = _data(n_classes, -(-2000 // n_classes), seed=seed + 100)
    probe = fit_probe(features.astype(np.float32), labels, n_classes, Standardisation.of(features), c=c)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=10_000, tol=1e-8)).fit(features, labels)
    accuracy = (probe.probabilities(test).argmax(axis=1) == truth).mean()
    assert accuracy == pytest.approx(plain.score(test, truth), abs=1e-3)
    assert 1.5 / n_classes < accuracy < 1 or n_classes == 2  # neither chance nor trivial
