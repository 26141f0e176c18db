"""The column names and label values of the data.

The names are those of the published label tables. An empty cell is written to the TFRecords as
`BLANK`, so that statistics, slices and charts show it as a value instead of dropping the row.
"""

import re
from typing import Final, Literal, NamedTuple, get_args

# Columns of tranch_master.csv.
FILE_PATH: Final = "file_path"
FILE_NAME: Final = "file_name"
CLIP: Final = "clip"
TRANCHE: Final = "tranche"
HOW_MANY: Final = "how_many"
POSTURE: Final = "primary_posture"
OCCLUDED: Final = "primary_occluded"
PERSON_TYPE: Final = "staff_patient_other"
EXCEPTION_CASE: Final = "exception_case"

# The other columns of the TFRecords: the picture and its measures.
IMAGE: Final = "image"  # JPEG, RGB, upright, scaled down to fit the ingestion size
WIDTH: Final = "width"  # of the original, pixels, after EXIF orientation
HEIGHT: Final = "height"
BRIGHTNESS: Final = "brightness"  # mean luma, 0 to 255
CONTRAST: Final = "contrast"  # standard deviation of the luma
SHARPNESS: Final = "sharpness"  # variance of the Laplacian of the luma
SATURATION: Final = "saturation"  # mean HSV saturation, 0 to 255; near 0 is near-infrared
PERCEPTUAL_HASH: Final = "perceptual_hash"  # 64-bit DCT hash, 16 hexadecimal digits

MEASURES: Final = (BRIGHTNESS, CONTRAST, SHARPNESS, SATURATION)

# What Transform adds for the Trainer and the Evaluator.
LABEL: Final = "label"  # int64 index into POSTURES, -1 where the posture is not known

# What Transform derives for slices by image quality: a picture's measures compared with those of
# the training split. Nothing is trained on it.
LIGHT: Final = "light"  # by BRIGHTNESS
FOCUS: Final = "focus"  # by SHARPNESS
SIZE: Final = "size"  # by the original's shorter side
COLOUR: Final = "colour"  # by SATURATION

# Largest number of pixels of a picture, in ingestion and in service. The pictures of a
# 50-megapixel phone just pass. Pillow takes four bytes for each pixel.
MAX_PIXELS: Final = 50_000_000

# Outputs of the exported model beside the posture and its probabilities.
UNSURE: Final = "unsure"  # bool: the confidence is below the model's threshold
REFUSED: Final = "refused"  # bool: the picture could not be read
MODEL: Final = "model"  # string: who answers, the run and the version that it was pushed as
THRESHOLD: Final = "threshold"  # float32: least confidence of a sure answer

# The classes, in the order of the model's outputs.
LYING: Final = "Lying"
POSTURES: Final = ("Sitting", "Standing", LYING)

# The errors as pairs of label and answer, the most harmful first. A person who is lying and is not
# seen to be may have fallen; one who is standing may be about to. Of these it is worst to see a
# person sit, since nobody then looks twice.
ERRORS_BY_HARM: Final = tuple(
    (actual, answer) for actual in reversed(POSTURES) for answer in POSTURES if answer != actual
)
UNKNOWN_POSTURE: Final = "Unknown"
UNKNOWN_OCCLUSION: Final = "Unknown / Watermark"
BLANK: Final = "(blank)"


class Column(NamedTuple):
    """A column by whose values images are counted and sliced.

    Attributes:
      title: what it is called in a sentence.
      value_name: what the images with one of its values are called.
      values: those it may hold, in order; empty if they are not known beforehand.
      note: how the values come about, where that is not plain.
      optional: a label table may lack it; its cells are blank then.
    """

    title: str
    value_name: str
    values: tuple[str, ...] = ()
    note: str = ""
    optional: bool = False


# The columns of the label tables, in the order of tranch_master.csv; the empty cell is allowed in
# each of them.
LABELS: Final = {
    HOW_MANY: Column(
        "number of persons",
        "persons: {}",
        ("None", "One", "Two", "Three"),
        "As the label table counts them.",
    ),
    POSTURE: Column(
        "posture",
        "{}",
        (*POSTURES, UNKNOWN_POSTURE),
        "Accuracy within a posture is its recall.",
    ),
    OCCLUDED: Column(
        "occlusion",
        "occluded: {}",
        ("Yes", "No", UNKNOWN_OCCLUSION),
        "Whether something hides a part of the person.",
    ),
    PERSON_TYPE: Column("kind of person", "person: {}", ("Staff", "Patient", "Other")),
    EXCEPTION_CASE: Column(
        "exception case", "exception: {}", ("No", "Yes", "Bad Image"), optional=True
    ),
}
LABEL_VALUES: Final = {name: column.values for name, column in LABELS.items()}

# The qualities; their values are in the order of the measure.
QUALITY_COLUMNS: Final = {
    LIGHT: Column(
        "light",
        "light: {}",
        ("dark", "usual", "bright"),
        "Dark and bright: as the darkest and the brightest fifth of the training images.",
    ),
    FOCUS: Column(
        "focus",
        "focus: {}",
        ("blurred", "usual"),
        "Blurred: as the least sharp fifth of the training images.",
    ),
    SIZE: Column(
        "image size",
        "size: {}",
        ("small", "usual"),
        "Small: as the smallest fifth of the training images.",
    ),
    COLOUR: Column(
        "colour",
        "colour: {}",
        ("grayscale", "colour"),
        "Grayscale: hardly any colour, as near-infrared cameras see.",
    ),
}
QUALITY_VALUES: Final = {name: column.values for name, column in QUALITY_COLUMNS.items()}
QUALITIES: Final = tuple(QUALITY_COLUMNS)

COLUMNS: Final = {TRANCHE: Column("tranche", "tranche {}"), **LABELS, **QUALITY_COLUMNS}

MASTER_COLUMNS: Final = (FILE_PATH, FILE_NAME, CLIP, TRANCHE, *LABELS)

# Its columns in the TFRecords.
EXAMPLE_COLUMNS: Final = tuple(name for name in MASTER_COLUMNS if name != FILE_PATH)
# All of theirs.
TFRECORD_COLUMNS: Final = (*EXAMPLE_COLUMNS, IMAGE, WIDTH, HEIGHT, *MEASURES, PERCEPTUAL_HASH)

# Label values that say nothing.
NOT_TOLD: Final = (UNKNOWN_POSTURE, UNKNOWN_OCCLUSION, BLANK)

# The models that a candidate is compared with on the test split.
Role = Literal["in_service", "reference"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

# The splits. Images outside the configured selection are in a split of their own: they are counted,
# and a model can label them later.
TRAIN: Final = "train"
EVAL: Final = "eval"
TEST: Final = "test"
UNSELECTED: Final = "unselected"

# Which images a model is trained and judged on.
LABELLED: Final = "labelled"
SINGLE_PERSON: Final = "single_person"


def column(name: str) -> Column:
    """What is known of a column; an old run may have some that are no longer in `COLUMNS`."""
    return COLUMNS.get(name, Column(name, f"{name}: {{}}"))


def is_selected(selection: str, posture: str, how_many: str, occluded: str) -> bool:
    """Says whether an image belongs to a selection.

    Args:
      selection: `labelled` (the posture is known) or `single_person` (labelled,
        exactly one person, occlusion not unknown; a blank occlusion is allowed).
      posture: value of `primary_posture`.
      how_many: value of `how_many`.
      occluded: value of `primary_occluded`.

    Returns:
      True if a model may be trained or judged on the image.

    Raises:
      ValueError: the selection is not one of the two.
    """
    if selection not in (LABELLED, SINGLE_PERSON):
        raise ValueError(f"unknown selection {selection!r}; use {LABELLED} or {SINGLE_PERSON}")
    labelled = posture in POSTURES
    if selection == LABELLED:
        return labelled
    return labelled and how_many == "One" and occluded != UNKNOWN_OCCLUSION


def tranche_order(name: str) -> tuple[tuple[str | int, ...], str]:
    """The sort key for names of tranches: numbers in them compare as numbers, so 2 precedes 10.

    It also sorts names with a common prefix, such as TFDV's `tranche_2`.
    """
    texts_and_numbers = re.split(r"([0-9]+)", name)  # by turns, starting with a text
    parts = (int(part) if index % 2 else part for index, part in enumerate(texts_and_numbers))
    return tuple(parts), name


def value_order(name: str, value: str) -> tuple[bool, int, tuple[tuple[str | int, ...], str]]:
    """The sort key for the values of a column: as listed above, then others, then not told.

    Values that are listed nowhere, such as tranches, are in `tranche_order`.
    """
    listed = column(name).values
    place = listed.index(value) if value in listed else len(listed)
    return value in NOT_TOLD, place, tranche_order(value)
