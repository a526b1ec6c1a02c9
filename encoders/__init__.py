"""IMU and video encoders, one a file; :mod:`encoders.registry` finds them by name."""
