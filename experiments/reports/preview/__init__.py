"""Pictures of windows: frames above IMU traces."""
