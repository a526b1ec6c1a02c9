"""File formats as bytes: MATLAB, MP4, VRS, video, number tables, zip archives. Nothing here knows a data set."""
