"""Common names of the activities of each source, in the paper's terms and a few more, one line per label.

An unlisted label has no common name: it means another activity, or several of these activities at once. A comment marks
a label that means nearly, but not exactly, the same as its common name.
"""

COMMON = (
    "standing",
    "walking",
    "turning",
    "bending",
    "sitting",
    "sit_to_stand",  # either way
    "stairs",  # either way
    "lying",
    "fall",
    "freezing",
    "running",  # jogging too
    "clapping",
)

COMMON_LABELS: dict[str, dict[str, str]] = {
    "simulator": {
        "standing": "standing",
        "walking": "walking",
        "turning": "turning",
        "bending": "bending",
        "sitting": "sitting",
        "sit_stand": "sit_to_stand",
        "stairs_down": "stairs",
        "lying": "lying",
        "falling": "fall",
    },
    "utd_mhad": {
        "walking_in_place": "walking",  # without moving forward
        "sit_to_stand": "sit_to_stand",
        "stand_to_sit": "sit_to_stand",
        "jogging_in_place": "running",  # without moving forward
        "clap": "clapping",
    },
    "sisfall": {
        "walking_slow": "walking",
        "walking_quick": "walking",
        "jogging_slow": "running",
        "jogging_quick": "running",
        "stairs_slow": "stairs",
        "stairs_quick": "stairs",
        "chair_slow": "sit_to_stand",  # a trial of sitting down, sitting a moment and getting up
        "chair_quick": "sit_to_stand",
        "low_chair_slow": "sit_to_stand",
        "low_chair_quick": "sit_to_stand",
        "lie_down_slow": "lying",  # includes lying down and sitting up again
        "lie_down_quick": "lying",
        "turn_over_lying": "lying",
        "bend_knees": "bending",
        "bend_over": "bending",
        "fall": "fall",
    },
    "daphnet": {
        "freezing": "freezing",
        "no_freezing": "walking",  # the experiment's tasks are walking, with turns and stops
    },
    "usc_had": {
        "walking_forward": "walking",
        "walking_left": "walking",  # in circles
        "walking_right": "walking",
        "running": "running",
        "stairs_up": "stairs",
        "stairs_down": "stairs",
        "sitting": "sitting",
        "standing": "standing",
        "sleeping": "lying",
    },
    "hapt": {
        "walking": "walking",
        "stairs_up": "stairs",
        "stairs_down": "stairs",
        "sitting": "sitting",
        "standing": "standing",
        "lying": "lying",
        "stand_to_sit": "sit_to_stand",
        "sit_to_stand": "sit_to_stand",
    },
    "motionsense": {
        "walking": "walking",
        "jogging": "running",
        "stairs_up": "stairs",
        "stairs_down": "stairs",
        "sitting": "sitting",
        "standing": "standing",
    },
    "pamap2": {
        "lying": "lying",
        "sitting": "sitting",
        "standing": "standing",
        "walking": "walking",
        "running": "running",
        "stairs_up": "stairs",
        "stairs_down": "stairs",
    },
    "harth": {
        "walking": "walking",
        "running": "running",
        "stairs_up": "stairs",
        "stairs_down": "stairs",
        "standing": "standing",
        "sitting": "sitting",
        "lying": "lying",
    },
    "realworld": {
        "walking": "walking",
        "running": "running",
        "stairs_up": "stairs",
        "stairs_down": "stairs",
        "standing": "standing",
        "sitting": "sitting",
        "lying": "lying",
    },
    "fog_star": {
        "walking": "walking",
        "sitting": "sitting",
        "standing": "standing",
        "sit_to_stand": "sit_to_stand",
        "stand_to_sit": "sit_to_stand",
        "turning_right": "turning",
        "turning_left": "turning",
        "freezing": "freezing",
    },
    "weargait_pd": {
        "walk": "walking",
        "turn": "turning",
        "standing": "standing",
        "sitting": "sitting",
        "sit_to_stand": "sit_to_stand",
    },
    "weda_fall": {
        "walking": "walking",
        "jogging": "running",
        "clapping": "clapping",
        "stairs": "stairs",
        "sit_and_get_up": "sit_to_stand",  # a trial of sitting down, sitting a moment and getting up
        "crouch": "bending",
        "fall": "fall",
    },
    "sp_sw_har": {
        "seated": "sitting",
        "standing_up": "sit_to_stand",
        "walking": "walking",
        "turning": "turning",
        "sitting_down": "sit_to_stand",
    },
    "turning_in_place": {
        "turning": "turning",
        "standing": "standing",
        "freezing": "freezing",
    },
    "uestc_mmea": {
        "standing": "standing",
        "stand": "standing",
        "walking": "walking",
        "walk": "walking",
        "sit_stand": "sit_to_stand",
        "sit_to_stand": "sit_to_stand",
        "stand_sit": "sit_to_stand",
        "upstairs": "stairs",
        "downstairs": "stairs",
        "fall": "fall",
    },
    "bvh": {
        "walk": "walking",
        "bow": "bending",  # of the trunk, in greeting
        **{name: name for name in COMMON},  # files of your own, if they use the common names
    },
    # WEAR has workouts only, and the other sets have no labels of activities.
    "wear": {},
    "ego4d": {},
    "aria": {},
    "action_camera": {},
    # A user's own files: their manifest maps labels to common names.
    "manifest": {name: name for name in COMMON},
}
