"""IMU, video and text encoders; :mod:`encoders.registry` finds IMU and video encoders by name."""
