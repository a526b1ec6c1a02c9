"""File formats as bytes: MATLAB, MP4, VRS, BVH, video, number tables, zip archives. Nothing here knows a data set."""
