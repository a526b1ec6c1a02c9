"""Offsets between two clocks, on signals whose true offset is known, and on real recordings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from helpers.made_clock import made_estimate
from helpers.made_motion import make_track
from helpers.real_data import gopro_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from datamodules.clock_sync import CERTAIN, ClockSettings, estimate_clock, shifted
from datamodules.clock_sync.correlation import Signal
from datamodules.clock_sync.estimate import choose_frames, compare, measure_chosen
from datamodules.clock_sync.motion_signals import SeenMotion, measure_video
from datamodules.clock_sync.pooling import Pool, compare_pooled
from datamodules.recording import ImuStream
from datamodules.sources.action_camera import ActionCamera, ActionCameraParams
from datamodules.sources.simulator import Simulator, SimulatorParams

FPS = 30.0


def make_stream(seconds: float = 40.0, seed: int = 0) -> ImuStream:
    values = make_track(seed, seconds)
    return ImuStream(np.arange(len(values)) / 50.0, values, "head")


def make_seen(stream: ImuStream, noise: float = 0.0, seed: int = 1) -> SeenMotion:
    """A camera whose picture flows as any linear map of the sensor's angular velocity would have it."""
    rng = np.random.default_rng(seed)
    times = np.arange(stream.times[0], stream.times[-1] - 1 / FPS, 1 / FPS) + 0.5 / FPS
    turning = np.stack([np.interp(times, stream.times, c) for c in stream.values[:, 3:].T], axis=1)
    flow = 60 * turning @ rng.normal(size=(3, 18))
    flow += noise * flow.std() * rng.normal(size=flow.shape)
    return SeenMotion(times, flow, np.linalg.norm(turning, axis=1))


@pytest.mark.parametrize("view", ["moving", "watching"])
@pytest.mark.parametrize("offset", [-1.93, -0.5, 0.0, 0.017, 1.2])
def test_a_known_offset_is_found(view: str, offset: float) -> None:
    stream = make_stream()
    found = compare(make_seen(stream), shifted(stream, -offset), "r", "c", ClockSettings(view=view))
    # The frames' linear interpolation costs a millisecond or two; the grid's step is 10 ms.
    assert found.offset_s == pytest.approx(offset, abs=0.005)
    assert found.certain
    assert found.correlation > 0.8


def test_offsets_beyond_the_range_and_unrelated_motion_are_not_certain() -> None:
    stream, other = make_stream(seed=0), make_stream(seed=9)
    seen = make_seen(stream)
    for wrong in (other, shifted(stream, 3.0)):
        assert compare(seen, wrong, "r", "c").confidence < CERTAIN


@pytest.mark.slow
def test_of_many_unrelated_pairs_few_are_certain() -> None:
    confidences = []
    for seed in range(30):
        seen = make_seen(make_stream(20.0, seed))
        confidences.append(compare(seen, make_stream(20.0, 100 + seed), "r", "c").confidence)
    # 0.95 leaves 1 in 20; more than 5 of 30 would be a chance of 0.3 % if it were so.
    assert np.sum(np.array(confidences) >= CERTAIN) <= 5


def only_at(stream: ImuStream, moments: tuple[float, ...]) -> ImuStream:
    """The same motion, a twentieth of it but for about a second around each of these times."""
    lively = 0.05 + np.sum([np.exp(-0.5 * ((stream.times - moment) / 0.4) ** 2) for moment in moments], axis=0)
    return replace(stream, values=stream.values * np.where(np.arange(6) < 3, 1.0, lively[:, None]))


def test_of_strangers_who_move_at_the_same_moments_few_are_certain() -> None:
    # As in two sessions of one protocol. By the chance of motion at another time alone, 12 of these 15 are certain.
    certain, moments = 0, (5.0, 12.0, 16.0)
    for seed in range(15):
        seen = make_seen(only_at(make_stream(20.0, seed), moments))
        certain += compare(seen, only_at(make_stream(20.0, 100 + seed), moments), "r", "c").certain
    # Nominally 0.75 of 15; more than four would come up with a probability of 0.001.
    assert certain <= 4


def add_event(stream: ImuStream, time: float) -> ImuStream:
    """A knock, livelier than all the rest: half a second of turning by up to 40 rad/s."""
    bump = 40 * np.exp(-0.5 * ((stream.times - time) / 0.15) ** 2)
    return replace(stream, values=stream.values + bump[:, None] * np.array([0, 0, 0, 1.0, -0.7, 0.4]))


def test_one_event_holds_less_than_half_of_what_counts() -> None:
    stream = add_event(make_stream(), 20.0)
    signal = Signal(stream.values[:, 3:] - stream.values[:, 3:].mean(axis=0), np.ones(len(stream.times), bool))
    energy = (signal.values**2).sum(axis=1)
    event = np.abs(stream.times - 20.0) < 0.6
    # Of the plain sum of squares it is most.
    assert energy[event].sum() / energy.sum() > 0.8
    weighted = energy * signal.weights()
    assert weighted[event].sum() / weighted.sum() < 0.5


def test_an_event_that_agrees_with_the_rest_changes_nothing() -> None:
    stream = add_event(make_stream(), 20.0)
    found = compare(make_seen(stream), shifted(stream, 0.3), "r", "c")
    assert found.offset_s == pytest.approx(-0.3, abs=0.005)
    assert found.certain


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.floats(0.0, 0.9))
def test_weights_have_mean_one_whatever_the_scale_and_the_gaps(seed: int, scale: float, lost: float) -> None:
    rng = np.random.default_rng(seed)
    valid = rng.random(400) >= lost
    valid[:3] = True
    values = rng.normal(size=(400, 3)) * valid[:, None]
    weights, scaled = Signal(values, valid).weights(), Signal(scale * values, valid).weights()
    assert (weights[~valid] == 0).all()
    assert (weights[valid] > 0).all()
    assert weights[valid].mean() == pytest.approx(1.0)
    # Rounding alone.
    np.testing.assert_allclose(scaled, weights, rtol=1e-9)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 10.0))
def test_turning_the_sensors_axes_or_scaling_the_picture_changes_nothing(seed: int, scale: float) -> None:
    stream = shifted(make_stream(20.0), -0.4)
    seen = make_seen(make_stream(20.0), noise=0.3)
    turn = Rotation.random(random_state=seed).as_matrix()
    turned = replace(stream, values=np.concatenate([stream.values[:, :3] @ turn, stream.values[:, 3:] @ turn], axis=1))
    plain = compare(seen, stream, "r", "c", ClockSettings(view="moving"))
    other = compare(replace(seen, flow=scale * seen.flow), turned, "r", "c", ClockSettings(view="moving"))
    # The map between the two is found anew; what is left is rounding.
    assert other.offset_s == pytest.approx(plain.offset_s, abs=1e-4)
    assert other.confidence == pytest.approx(plain.confidence, abs=1e-3)


@pytest.mark.parametrize("view", ["moving", "watching"])
def test_gaps_and_lost_values_on_either_side_cost_little(view: str) -> None:
    stream = make_stream()
    seen = make_seen(stream)
    flow, speed = seen.flow.copy(), seen.speed.copy()
    flow[200:320], speed[200:320] = np.nan, np.nan
    values = stream.values.copy()
    values[700:720, 4] = np.nan
    kept = np.ones(len(values), bool)
    kept[1200:1400] = False
    gappy = ImuStream(stream.times[kept] + 0.7, values[kept], "head")
    found = compare(SeenMotion(seen.times, flow, speed), gappy, "r", "c", ClockSettings(view=view))
    assert found.offset_s == pytest.approx(-0.7, abs=0.01)
    assert found.certain


@dataclass
class Nothing:
    """What can't be compared: the one or the other side holds nothing."""

    seen: SeenMotion
    stream: ImuStream


def test_no_motion_no_overlap_and_no_data_are_not_certain() -> None:
    stream = make_stream(20.0)
    seen = make_seen(stream)
    still = np.tile([0.0, 0, 9.8, 0, 0, 0], (1000, 1))
    cases = [
        Nothing(seen, replace(stream, values=still)),
        Nothing(seen, replace(stream, values=np.full((1000, 6), np.nan))),
        Nothing(seen, replace(stream, times=stream.times + 1000)),
        Nothing(seen, replace(stream, times=stream.times[:1], values=stream.values[:1])),
        Nothing(SeenMotion(seen.times, np.zeros_like(seen.flow), np.zeros_like(seen.speed)), stream),
        Nothing(SeenMotion(seen.times, seen.flow * np.nan, seen.speed * np.nan), stream),
        Nothing(SeenMotion(np.empty(0), np.empty((0, 18)), np.empty(0)), stream),
        Nothing(SeenMotion(seen.times[:2], seen.flow[:2], seen.speed[:2]), stream),
    ]
    for number, case in enumerate(cases):
        found = compare(case.seen, case.stream, "r", "c")
        assert found.confidence < CERTAIN, number
        assert "r, head against c" in str(found)


def test_without_a_gyroscope_acceleration_is_compared() -> None:
    stream = make_stream()
    times = np.arange(0, 39.9, 1 / FPS)
    velocity = np.cumsum(stream.values[:, :3] - stream.values[:, :3].mean(axis=0), axis=0) / 50
    moved = np.stack([np.interp(times, stream.times, c) for c in velocity.T], axis=1)
    seen = SeenMotion(times, moved @ np.random.default_rng(3).normal(size=(3, 18)), np.ones(len(times)))
    values = stream.values.copy()
    values[:, 3:] = np.nan
    found = compare(seen, shifted(replace(stream, values=values), 0.3), "r", "c", ClockSettings(view="moving"))
    assert found.offset_s == pytest.approx(-0.3, abs=0.01)
    assert found.certain


@pytest.mark.slow
def test_a_drift_is_found_over_half_an_hour() -> None:
    stream = make_stream(1800.0)
    seen = make_seen(stream, noise=0.2)
    keep = np.isin(np.round(seen.times * FPS - 0.5).astype(int), choose_frames(seen.times, ClockSettings()))
    seen = SeenMotion(seen.times[keep], seen.flow[keep], seen.speed[keep])
    # Video = stamp * (1 + drift) + offset, as the simulator has it.
    wrong = replace(stream, times=(stream.times - 0.8) / (1 + 40e-6))
    found = compare(seen, wrong, "r", "c")
    assert found.drift_ppm == pytest.approx(40, abs=5)
    assert found.drift_error_ppm < 10
    mended = shifted(wrong, found.offset_s, found.drift_ppm, found.reference_s)
    # Two milliseconds at the middle, and 5 ppm over the quarter of an hour to either end.
    assert np.abs(mended.times - stream.times).max() < 0.002 + 5e-6 * 900


def test_of_a_long_video_windows_are_looked_at() -> None:
    times = np.arange(0, 3600, 1 / 60)
    chosen = times[choose_frames(times, ClockSettings())]
    assert len(chosen) / 30 == pytest.approx(180, abs=2)
    assert chosen[0] == 0
    assert chosen[-1] > 3599
    assert len(choose_frames(times[:600], ClockSettings())) == 300


@pytest.mark.parametrize("wrong", [{"view": "sideways"}, {"max_offset_s": 0.0}, {"window_s": float("nan")}])
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClockSettings(**wrong).check()


@pytest.mark.slow
def test_the_simulators_clocks_are_found() -> None:
    params = SimulatorParams(
        subjects=1,
        sessions_per_subject=1,
        session_s=20.0,
        placements=["head"],
        cameras=["head"],
        max_clock_offset_s=2.0,
    )
    simulator = Simulator(params)
    name = simulator.names()[0]
    found = estimate_clock(simulator.load(name), "any", "head")
    assert found.offset_s == pytest.approx(simulator.true_clock_offset(name), abs=0.02)
    assert found.certain


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_simulators_clocks_are_found_within_20_ms_in_a_minute() -> None:
    params = SimulatorParams(
        seed=11,
        subjects=6,
        first_subject=500,
        sessions_per_subject=1,
        session_s=60.0,
        placements=["head", "right_wrist"],
        cameras=["head"],
        max_clock_offset_s=2.0,
        max_clock_drift_ppm=50.0,
    )
    simulator = Simulator(params)
    errors: dict[str, list[float]] = {"head": [], "right_wrist": []}
    for recording in simulator:
        video = recording.videos[0]
        times = video.frame_times()
        seen = measure_video(video, times, choose_frames(times, ClockSettings()))
        for place, found in errors.items():
            estimate = compare(seen, recording.imu(place), recording.name, "head", ClockSettings(max_offset_s=2.1))
            drift = 1e-6 * simulator.true_clock_drift_ppm(recording.name)
            truth = simulator.true_clock_offset(recording.name) + drift * estimate.reference_s
            found.append(abs(estimate.offset_s - truth))
            assert estimate.certain
    # What is promised, whichever sensor; a rigid one is far better.
    assert np.median(errors["head"]) < 0.005
    assert np.median(errors["right_wrist"]) < 0.02


def test_the_simulators_drift_is_zero_unless_asked_for() -> None:
    plain, drifting = (
        Simulator(SimulatorParams(subjects=1, session_s=10.0, max_clock_drift_ppm=ppm)) for ppm in (0.0, 50.0)
    )
    name = plain.names()[0]
    assert plain.true_clock_drift_ppm(name) == 0.0
    drift = drifting.true_clock_drift_ppm(name)
    assert 0 < abs(drift) <= 50
    one, two = plain.load(name).imu("head").times, drifting.load(name).imu("head").times
    offset = plain.true_clock_offset(name)
    assert offset == drifting.true_clock_offset(name)
    np.testing.assert_allclose(one + offset, two * (1 + 1e-6 * drift) + offset, atol=1e-9, rtol=0)


@pytest.mark.slow
def test_the_gopro_clip_moved_by_up_to_one_and_a_half_seconds() -> None:
    path = gopro_clip()
    recording = ActionCamera(ActionCameraParams([str(path)])).load("max-heromode")
    video, stream = recording.videos[0], recording.imus[0]
    times = video.frame_times()
    seen = measure_video(video, times, choose_frames(times, ClockSettings()))
    for moved in np.arange(-15, 16) / 10:
        found = compare(seen, shifted(stream, moved), "gopro", "action_camera")
        # The picture is stabilised: parallax, not rotation, gives it away. 50 ms is what we promise.
        assert found.offset_s == pytest.approx(-moved, abs=0.05)
        # Ten seconds are little: at most moves it is certain, at the others likely, so that each is told.
        assert found.confidence > 0.9
        assert found.certainty in ("certain", "likely")


def test_the_gopro_clip_tells_nothing_with_a_sensor_that_is_not_its_own() -> None:
    path = gopro_clip()
    recording = ActionCamera(ActionCameraParams([str(path)])).load("max-heromode")
    seen, own = measure_chosen(recording.videos[0], ClockSettings()), recording.imus[0]
    second = round(1 / float(np.median(np.diff(own.times))))
    blocks = np.arange(len(own.times) // second * second).reshape(-1, second)
    wrong = [
        replace(
            own, times=own.times[: blocks.size], values=own.values[np.random.default_rng(k).permutation(blocks).ravel()]
        )
        for k in range(3)
    ]
    wrong += [shifted(own, moved) for moved in (-4.0, 4.0)]  # beyond the search
    wrong += [replace(make_stream(11.0, seed), placement="head") for seed in range(3)]
    still = np.random.default_rng(0).normal(size=own.values.shape) * 0.01 + np.array([0, 0, 9.81, 0, 0, 0])
    wrong += [replace(own, values=still)]
    for number, stream in enumerate(wrong):
        assert compare(seen, stream, "gopro", "action_camera").certainty == "unknown", number


@pytest.mark.slow
def test_short_recordings_tell_together_what_none_tells_alone() -> None:
    settings = ClockSettings()
    pairs = []
    for seed in range(8):
        stream = make_stream(4.0, seed)
        pairs.append((make_seen(stream, noise=1.0), shifted(stream, 0.4 + 100 * seed)))
    # The first pair is at 0.4 s, and the others are moved with both of their clocks.
    pairs = [(replace(seen, times=seen.times + 100 * seed), stream) for seed, (seen, stream) in enumerate(pairs)]
    assert compare(*pairs[0], "r", "c", settings).certainty == "unknown"
    found = compare_pooled(pairs, "all", "c", settings)
    assert found.offset_s == pytest.approx(-0.4, abs=0.03)
    assert found.certain
    assert math.isnan(found.drift_error_ppm)
    # With each other's sensors there is nothing to find.
    strangers = [(seen, replace(pairs[k - 1][1], times=pairs[k][1].times)) for k, (seen, _) in enumerate(pairs)]
    assert compare_pooled(strangers, "all", "c", settings).certainty == "unknown"


def test_a_pool_is_asked_where_few_tell_alone() -> None:
    stream = make_stream(20.0)
    seen = make_seen(stream)
    pool = Pool()
    assert pool.estimate("all", "c") is None
    pool.add(seen, stream, None)
    pool.add(seen, stream, made_estimate(0.0, confidence=0.2))
    found = pool.estimate("all", "c")
    assert found is not None
    assert found.offset_s == pytest.approx(0.0, abs=0.01)
    for _ in range(5):
        pool.add(seen, stream, made_estimate(0.0))
    assert len(pool) == 5  # of seven: just under 80 s, and one more, are enough
    assert pool.estimate("all", "c") is None  # most told theirs alone
