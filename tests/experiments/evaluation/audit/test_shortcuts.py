import numpy as np
import pytest
from helpers.made_motion import DURATION_S, SAMPLES, Motion, make_motion

from experiments.evaluation.audit.shortcuts import LEAK, WARNING, Finding, label_shortcuts

MOTION = make_motion()
FEW = make_motion(classes=3, per_class=8)


def _findings(motion: Motion) -> list[Finding]:
    return label_shortcuts(motion.table, motion.read, motion.windows, DURATION_S)


def _leaks(motion: Motion) -> list[str]:
    return [finding.text for finding in _findings(motion) if finding.severity == LEAK]


def _imu(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """A copy of the values, and a code of each activity that is not in the order of their names."""
    codes = np.random.default_rng(5).permutation(motion.labels.max() + 1)
    return motion.imu.copy(), codes[motion.labels]


either = pytest.mark.parametrize("motion", [MOTION, FEW], ids=["6 activities", "3 activities"])


@either
def test_movement_that_has_nothing_to_do_with_the_label_gives_nothing_away(motion: Motion) -> None:
    assert _findings(motion) == []


@pytest.mark.parametrize("place", [0, 77, SAMPLES - 1])
@either
def test_a_label_in_one_sample_is_a_leak(motion: Motion, place: int) -> None:
    imu, code = _imu(motion)
    imu[:, place, 4] = code / 1000
    (leak,) = _leaks(motion.but(imu=imu))
    assert "gy alone tells" in leak
    assert f"tells {motion.labels.max() + 1} activities apart at 100.0%" in leak


@either
def test_a_label_in_the_last_valid_sample_is_a_leak(motion: Motion) -> None:
    imu, code = _imu(motion)
    end = np.random.default_rng(0).integers(100, SAMPLES, len(imu))
    samples = np.arange(SAMPLES) < end[:, None]
    imu *= samples[:, :, None]
    imu[np.arange(len(imu)), end - 1, 2] = code
    (leak,) = _leaks(motion.but(imu=imu, samples=samples))
    assert leak.startswith("the last valid sample of az alone tells")


@either
def test_an_offset_of_a_channel_is_a_leak(motion: Motion) -> None:
    imu, code = _imu(motion)
    imu[:, :, 1] += 300 * code[:, None]
    assert len(_leaks(motion.but(imu=imu))) == 1


def test_a_small_offset_is_a_leak_where_it_shows() -> None:
    """In the padding, to which it was added as well; and in a channel that stands still."""
    imu, code = _imu(MOTION)
    samples = np.repeat(np.arange(SAMPLES)[None] < 180, len(imu), axis=0)
    padded = np.where(samples[:, :, None], imu, 0)
    padded[:, :, 0] += code[:, None] / 1000
    (leak,) = _leaks(MOTION.but(imu=padded, samples=samples))
    assert leak.startswith("the value of ax where nothing was measured, in the 120 windows that have such values,")
    imu[:, :, 5] = code[:, None] / 1000
    assert "of gz alone tells 6 activities apart" in _leaks(MOTION.but(imu=imu))[0]


def test_an_offset_that_drowns_in_the_movement_gives_nothing_away() -> None:
    imu, code = _imu(MOTION)
    imu[:, :, 0] += code[:, None] / 1000
    assert _findings(MOTION.but(imu=imu)) == []


@either
def test_a_label_in_the_length_is_a_leak(motion: Motion) -> None:
    imu, code = _imu(motion)
    samples = np.arange(SAMPLES) < (SAMPLES - 3 * code)[:, None]
    leaks = _leaks(motion.but(imu=imu * samples[:, :, None], samples=samples))
    assert [leak.startswith("the number of valid samples alone tells") for leak in leaks] == [True]


@either
def test_a_label_in_the_missing_channels_is_a_leak(motion: Motion) -> None:
    imu, code = _imu(motion)
    channels = (code[:, None] + 1) >> np.arange(6) & 1 == 1
    leaks = _leaks(motion.but(imu=imu * channels[:, None], channels=channels))
    assert [leak.startswith("the set of missing channels alone tells") for leak in leaks] == [True]


def test_an_activity_that_only_one_person_shows_hides_no_leak() -> None:
    imu, code = _imu(MOTION)
    imu[:, 77, 4] = code
    activity = MOTION.table["activity"].astype("U10")
    activity[-5:] = "cartwheel"
    assert len(_leaks(MOTION.but(imu=imu).with_columns(activity=activity))) == 1


def test_postures_are_no_leak() -> None:
    """Lying, sitting and standing differ by gravity alone, for everybody: honest, if not to the last digit."""
    rng = np.random.default_rng(0)
    n = len(FEW.imu)
    tilt = np.radians(np.array([0, 45, 90])[FEW.labels] + rng.normal(scale=5, size=n))
    imu = rng.normal(scale=0.05, size=FEW.imu.shape)
    imu[:, :, 0] += 9.8 * np.cos(tilt)[:, None]
    imu[:, :, 2] += 9.8 * np.sin(tilt)[:, None]
    assert _leaks(FEW.but(imu=imu.astype(np.float32))) == []


def test_facts_about_recordings_are_a_warning_with_figures() -> None:
    """Half of the activities were worn on the thigh: two groups of three, so one window in three is told."""
    thigh = MOTION.labels >= 3
    (finding,) = _findings(MOTION.with_columns(placement=np.where(thigh, "thigh", "wrist")))
    assert finding.severity == WARNING
    assert "placement tell 6 activities apart at 33.3%" in finding.text
    assert "chance 16.7%" in finding.text
    assert "placement alone 33.3%" in finding.text


def test_a_recordings_length_is_told() -> None:
    """Three windows of each walk, one of everything else."""
    activity = np.repeat(np.array(["jump", "sit", "walk", "walk", "walk"])[None], 24, axis=0).ravel()
    block = np.arange(120) // 5
    recording = np.array([f"{a}{b}" for a, b in zip(activity, block, strict=True)])
    start = np.tile([0.0, 0.0, 0.0, 5.0, 10.0], 24)
    (finding,) = _findings(MOTION.with_columns(activity=activity, recording=recording, start_s=start))
    # Walks are told from the others, of which one half is guessed right: (1 + 1) / 3.
    assert "the recording's length alone 66.7%" in finding.text


def test_what_is_not_zero_where_nothing_was_measured_is_said() -> None:
    samples = MOTION.samples.copy()
    samples[:7, 200:] = False
    findings = _findings(MOTION.but(samples=samples))
    assert Finding(WARNING, "7 of 120 windows are not zero where nothing was measured") in findings


def test_one_person_or_one_activity_can_not_be_asked() -> None:
    imu, code = _imu(MOTION)
    imu[:, 0, 0] = code
    leaking = MOTION.but(imu=imu)
    n = len(imu)
    assert len(_leaks(leaking)) == 1
    assert _findings(leaking.with_columns(subject=np.full(n, "p0"))) == []
    assert _findings(leaking.with_columns(activity=np.full(n, "walk"))) == []
