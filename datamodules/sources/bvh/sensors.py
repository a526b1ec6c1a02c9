"""Virtual motion sensors on a captured body, by the simulator's kinematics, parts and errors.

A sensor's path is sampled at the simulator's internal rate from smooth curves through the captured frames, and
differentiated there. Curves keep no more than the frames hold. Of a motion captured at 30 frames/s, a sinusoid of 5
Hz keeps its acceleration within 0.3 %, one of 10 Hz within 7 %, and one of 12 Hz loses a sixth. A curve through
frames also rings at their rate less the motion's: by 4 % of the acceleration for 5 Hz, by 23 % for 10 Hz.
``soft_tissue_s`` dampens both. Impacts last a few ms and are not in the frames.

Shape legend: N samples of the internal grid.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datamodules.recording import FloatArray, ImuStream, RecordingError
from datamodules.sources.bvh.anatomy import Anatomy
from datamodules.sources.bvh.skeleton import Skeleton
from datamodules.sources.simulator.imu_model import Device, Mount, ideal, measured, sampling_times
from datamodules.sources.simulator.timeline import RATE_HZ, interpolate

EDGE_S = 2.0 / RATE_HZ  # derivatives need two samples on either side


def virtual_sensor(seat: Mount, anatomy: Anatomy, skeleton: Skeleton, soft_tissue_s: float = 0.0) -> FloatArray:
    """Compute what a perfect sensor measures during a clip.

    Args:
        seat: the sensor's place and orientation on its segment.
        anatomy: the segments of the skeleton.
        skeleton: the clip.
        soft_tissue_s: standard deviation of the low-pass of skin and strap; 0 is a rigid mount.

    Returns:
        (N, 6) specific force with gravity, m/s^2, and angular velocity, rad/s, in the sensor's frame, at
        ``RATE_HZ`` from ``EDGE_S`` after the first frame on.

    Raises:
        RecordingError: the clip is too short, or of another skeleton.
    """
    grid = np.arange(0.0, skeleton.duration_s, 1.0 / RATE_HZ)
    if len(grid) < 9:
        raise RecordingError(f"{skeleton.file.path}: the clip lasts {skeleton.duration_s:.3g} s; expected more")
    pose = anatomy.pose(skeleton, grid, (seat.segment,))
    position, rotation = pose.point(seat.segment, seat.offset), pose.rotations[seat.segment] @ seat.rotation
    values = ideal(position, rotation)
    if soft_tissue_s > 0.0:
        values = gaussian_filter1d(values, soft_tissue_s * RATE_HZ, axis=0, mode="nearest")
    return np.asarray(values)


def worn_sensor(
    placement: str,
    values: FloatArray,
    duration_s: float,
    device: Device,
    origin: str,
    rng: np.random.Generator,
) -> ImuStream:
    """Return what ``device`` gives of the values (N, 6) of ``virtual_sensor`` during a clip of ``duration_s``."""
    times = sampling_times(device, duration_s, rng)
    last = EDGE_S + (len(values) - 1) / RATE_HZ
    times = times[(times >= EDGE_S) & (times <= last)]
    truth = interpolate(values.T, times, EDGE_S).T
    return measured(placement, times, truth, times, device, origin, rng)
