"""Augmentations of IMU windows, on whole batches and on whatever device holds them.

Each stands for something that differs between recordings of the same motion, and changes all that it would change:
a sensor that sits askew measures acceleration, gravity included, and angular rate turned by the same rotation
(:mod:`~datamodules.augment.rotation`); motion played r times as fast has r times the angular rate and r^2 times the
linear acceleration, and moves under the frames' times (:mod:`~datamodules.augment.timing`); a sensor some centimetres
further along the limb feels another centripetal acceleration (:mod:`~datamodules.augment.placement`); another part
has other noise and another bias, or no gyroscope at all (:mod:`~datamodules.augment.device`).

Draws belong to windows, see :mod:`~datamodules.augment.draws`: a window's view is the same in any batch. They come in a
fixed order, and what is off draws nothing.

Shape legend: B batch, T samples, F frames.
"""

from datamodules.augment.draws import Draws
from datamodules.augment.imu_augmentation import AugmentationError, ImuAugmentation, View
from datamodules.augment.settings import AugmentSettings

__all__ = ["AugmentSettings", "AugmentationError", "Draws", "ImuAugmentation", "View"]
