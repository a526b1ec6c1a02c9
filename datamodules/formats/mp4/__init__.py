"""Structure of MP4 and MOV files (ISO 14496-12), read without a decoder and bounded by the bytes that are there."""

from datamodules.formats.mp4.movie import Edit, Movie, Track, read_movie, video_duration
from datamodules.formats.mp4.samples import Samples, check_counts, end_to_reach, first_units, read_samples

__all__ = [
    "Edit",
    "Movie",
    "Samples",
    "Track",
    "check_counts",
    "end_to_reach",
    "first_units",
    "read_movie",
    "read_samples",
    "video_duration",
]
