"""IMU encoders, one per file."""
