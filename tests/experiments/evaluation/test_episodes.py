"""Episodes and transitions by hand: what was found, when, and what was not there."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import joined, make_config
from helpers.made_protocol import make_target, run
from numpy.typing import NDArray

from experiments.evaluation.episodes import episode_metrics, transition_metrics
from experiments.evaluation.moments import PURE, TRANSITION, UNKNOWN, Moments, Stretch, Timeline

DURATION_S = 4.0
ALL = np.arange(10)


def moments(*stretches: Stretch, windows: int = 10, starts: NDArray[np.float64] | None = None) -> Moments:
    at = np.arange(windows, dtype=np.float64) * DURATION_S if starts is None else starts
    return Moments(np.zeros(len(at), np.int64), at, np.zeros(len(at), np.int64), DURATION_S, [list(stretches)])


def answers(*event: int, windows: int = 10) -> NDArray[np.float64]:
    """Scores of two classes that are sure; the event, class 1, in these windows."""
    scores = np.tile([1.0, 0.0], (windows, 1))
    scores[list(event)] = [0.0, 1.0]
    return scores


def measured(scores: NDArray[np.float64], where: Moments, smoothed: bool = False) -> dict[str, float]:
    return episode_metrics(scores, where, np.arange(len(scores)), 1, "fog", smoothed)


def test_an_episode_that_is_found_late() -> None:
    found = measured(answers(3, 4), moments((9.0, 20.0, "fog")))
    assert found["episodes"] == 1
    assert found["episode_sensitivity"] == 1
    assert found["onset_error_s"] == found["onset_delay_s"] == 3.0  # the bout begins at 12 s
    assert found["episode_false_alarms_per_hour"] == 0


def test_early_and_late_cancel_in_the_delay_but_not_in_the_error() -> None:
    found = measured(answers(2, 7), moments((10.0, 12.0, "fog"), (26.0, 30.0, "fog")))
    assert found["onset_delay_s"] == pytest.approx((-2.0 + 2.0) / 2)
    assert found["onset_error_s"] == pytest.approx(2.0)


def test_a_bout_without_an_episode_is_a_false_alarm_and_one_without_a_bout_is_missed() -> None:
    found = measured(answers(8, 9), moments((5.0, 7.0, "fog"), (20.0, 21.0, "walk")))
    assert found["episode_sensitivity"] == 0
    assert found["episode_false_alarms_per_hour"] == pytest.approx(1 / (40 / 3600))
    assert "onset_error_s" not in found


def test_a_bout_over_two_episodes_finds_both_and_has_one_begin() -> None:
    found = measured(answers(2, 3, 4), moments((9.0, 10.0, "fog"), (15.0, 19.0, "fog")))
    assert found["episode_sensitivity"] == 1
    assert found["onset_delay_s"] == -1.0


def test_only_the_first_of_two_bouts_in_an_episode_has_a_begin() -> None:
    found = measured(answers(2, 4), moments((9.0, 19.0, "fog")))
    assert (found["episodes"], found["episode_sensitivity"]) == (1, 1)
    assert found["onset_delay_s"] == -1.0
    assert found["episode_false_alarms_per_hour"] == 0


def test_an_episode_that_began_before_the_first_tested_window_has_no_known_begin() -> None:
    found = measured(answers(0, 1), moments((0.0, 8.0, "fog")))
    assert found["episode_sensitivity"] == 1
    assert "onset_error_s" not in found


def test_an_episode_that_no_tested_window_shows_does_not_count() -> None:
    starts = np.array([0.0, 4.0, 20.0, 24.0])
    found = measured(answers(3, windows=4), moments((10.0, 15.0, "fog"), (25.0, 27.0, "fog"), starts=starts))
    assert (found["episodes"], found["episode_sensitivity"]) == (1, 1)
    assert found["episode_false_alarms_per_hour"] == 0


def test_a_gap_parts_bouts_as_it_does_in_predictions() -> None:
    starts = np.array([0.0, 4.0, 20.0, 24.0])
    found = measured(answers(1, 2, windows=4), moments((0.0, 1.0, "walk"), starts=starts))
    assert found["episode_false_alarms_per_hour"] == pytest.approx(2 / (16 / 3600))


def test_smoothing_takes_a_single_unsure_window_away() -> None:
    scores = answers()
    scores[5] = [0.45, 0.55]
    where = moments((100.0, 101.0, "fog"))
    assert measured(scores, where)["episode_false_alarms_per_hour"] > 0
    assert measured(scores, where, smoothed=True)["episode_false_alarms_per_hour"] == 0


def test_windows_of_other_recordings_and_people_stay_out() -> None:
    where = moments((9.0, 20.0, "fog"))
    found = episode_metrics(answers(3, 8), where, np.arange(5), 1, "fog", False)
    assert found["episode_false_alarms_per_hour"] == 0
    unknown = Moments(where.recordings, where.starts, where.kinds, DURATION_S, [[]])
    assert measured(answers(3), unknown) == {}


def test_transitions_are_measured_apart() -> None:
    where = moments()
    where.kinds[[2, 5]] = TRANSITION
    where.kinds[9] = UNKNOWN
    truth = np.zeros(10, np.int64)
    found = transition_metrics(truth, answers(2, 0), where, ALL)
    assert found["accuracy_transition"] == 0.5
    assert found["accuracy_pure"] == pytest.approx(6 / 7)
    assert found["transition_share"] == pytest.approx(2 / 9)
    assert transition_metrics(truth, answers(), where, np.array([0, 1])) == {}


def one_recording_a_subject(shards: FakeShards) -> FakeShards:
    """Windows follow each other, activity after activity; the label changes in the last of each."""
    table, duration_s = shards.table, shards.settings.duration_s
    table["recording"] = np.array([f"of {name}" for name in table["subject"]])
    for name in np.unique(table["subject"]):
        own = np.flatnonzero(table["subject"] == name)
        table["start_s"][own] = duration_s * np.arange(len(own))
        labels = table["activity"][own]
        edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1), len(own)]
        begins = [0.0, *(duration_s * e - 0.5 for e in edges[1:-1]), duration_s * len(own)]
        shards.stretches[f"of {name}"] = [
            [begins[i], begins[i + 1], str(labels[edges[i]])] for i in range(len(edges) - 1)
        ]
    return shards


def test_a_window_with_two_activities_is_a_transition() -> None:
    shards = one_recording_a_subject(FakeShards(per_class=3))
    timeline = Timeline(joined(shards))
    last_of_each = np.tile([0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0], 4)
    np.testing.assert_array_equal(timeline.kinds, np.where(last_of_each, TRANSITION, PURE))
    assert timeline.changes
    assert (Timeline(joined(FakeShards())).kinds == UNKNOWN).all()


def test_cells_measure_episodes_and_transitions_of_each_subject() -> None:
    shards = one_recording_a_subject(FakeShards())
    config = make_config(methods=["handcrafted_logistic"], shots=[5], draws=1)
    for result in run(config, shards, event="turn"):
        assert set(result.by_subject) == set(result.windows_by_subject)
        for values in result.by_subject.values():
            assert values["episodes"] == 1
            assert values["episode_sensitivity"] == 1
            assert values["onset_error_s"] <= 2 * shards.settings.duration_s  # one window may be unsure
            assert values["transition_share"] == pytest.approx(3 / 24)
            assert 0 <= values["accuracy_transition"] <= 1
    for result in run(config, FakeShards(), event="turn"):
        assert "episodes" not in result.metrics
        assert "accuracy_pure" not in result.metrics


def test_smoothing_is_the_target_s_choice() -> None:
    assert make_target(one_recording_a_subject(FakeShards()), smoothed=False).over_time(ALL).smoothed is False  # type: ignore[union-attr]


def test_episodes_of_smoothed_probabilities_are_not_smoothed_again() -> None:
    shards = one_recording_a_subject(FakeShards())
    names = ["random_frozen", "random_frozen+smoothed"]  # unsure enough that smoothing counts
    config = make_config(methods=names, shots=[1], draws=2)
    both = [run(config, shards, event="turn", smoothed=smoothed) for smoothed in (False, True)]
    differ = {one.cell.method for one, other in zip(*both, strict=True) if one.metrics != other.metrics}
    assert differ == {"random_frozen"}
