"""Lightning's callbacks that fit pretraining, by name."""

from __future__ import annotations

from lightning.pytorch import callbacks

from lightning_modules.extensions.registry import CALLBACKS, Extension, add

add(CALLBACKS, "early_stopping", Extension(callbacks.EarlyStopping))
add(CALLBACKS, "weight_averaging", Extension(callbacks.StochasticWeightAveraging))
add(CALLBACKS, "device_stats", Extension(callbacks.DeviceStatsMonitor))
add(CALLBACKS, "model_summary", Extension(callbacks.RichModelSummary))
add(CALLBACKS, "timer", Extension(callbacks.Timer))
