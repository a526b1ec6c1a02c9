"""IMU encoders, one a file."""
