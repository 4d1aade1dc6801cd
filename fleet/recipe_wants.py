"""What people may want to train who write no settings, and the two or three knobs that matter for each.

The sentences are what people read; the console says them in their language.
"""

from __future__ import annotations

from fleet.recipe_knobs import Choice, Knob, RecipeForm

_BROKEN = "Where it is empty the {item} counts as broken; more than one in a hundred are too many."


def _passes(default: int, what: str) -> Knob:
    return Knob(
        key="passes",
        kind="whole",
        label=f"How often to look at every {what}",
        why="More learns more, until it learns the data by heart. Time and cost grow with it.",
        default=default,
        unit="times",
        low=1,
        high=1000,
    )


_SORT_PICTURES = RecipeForm(
    key="sort-pictures",
    title="Sort pictures",
    text="Tell which of several classes a picture shows, from a folder of pictures for each class.",
    data_kind="pictures",
    items="pictures",
    recipe="digits-resnet",
    known=("digits",),
    settings=("data.kind=pictures", "optimizer.learning_rate=1e-3"),
    knobs=(
        _passes(30, "picture"),
        Knob(
            key="side",
            kind="choice",
            label="How large to look at pictures",
            why="Small things need large pictures. Twice the side takes four times as long.",
            default="128",
            unit="pixels",
            choices=tuple(
                Choice(value=side, label=label, settings=(f"data.height={side}", f"data.width={side}"))
                for side, label in (("64", "64 x 64"), ("128", "128 x 128"), ("224", "224 x 224"))
            ),
        ),
        Knob(
            key="network",
            kind="choice",
            label="How large the network is",
            why="A larger one tells finer differences apart where there are many pictures, and takes longer.",
            default="medium",
            choices=(
                Choice(value="small", label="small", settings=("model.depth=10", "model.width=32")),
                Choice(value="medium", label="medium", settings=("model.depth=18", "model.width=64")),
                Choice(value="large", label="large", settings=("model.depth=50", "model.width=64")),
            ),
        ),
    ),
)
_PREDICT_COLUMN = RecipeForm(
    key="predict-column",
    title="Predict a column",
    text="Tell one column of a table from the others: a class, such as yes or no, or a number.",
    data_kind="table",
    items="rows",
    recipe="wine",
    known=("breast_cancer", "diabetes", "iris", "wine"),
    settings=("data.kind=table",),
    knobs=(
        Knob(
            key="target",
            kind="column",
            label="Which column to predict",
            why=_BROKEN.format(item="row"),
            setting="data.target",
        ),
        Knob(
            key="ignore",
            kind="columns",
            label="Columns to leave out",
            why="Numbers of customers and the like, and whatever is only known once the answer is.",
            setting="data.ignore",
            required=False,
        ),
        _passes(40, "row"),
    ),
)
_CLASSIFY_TEXT = RecipeForm(
    key="classify-text",
    title="Classify text",
    text="Tell which of several classes a text belongs to, from a table of texts with their classes.",
    data_kind="text",
    items="texts",
    recipe="text-class",
    known=("python_packages",),
    settings=("data.kind=text",),
    knobs=(
        Knob(
            key="text",
            kind="column",
            label="Which column has the text",
            why="What is longer than 256 tokens, about 200 words, is cut there.",
            setting="data.text_column",
        ),
        Knob(
            key="label",
            kind="column",
            label="Which column has the class",
            why=_BROKEN.format(item="text"),
            setting="data.label_column",
        ),
        _passes(20, "text"),
        Knob(
            key="order",
            kind="choice",
            label="Whether the order of words decides",
            why="Where it does not, looking at words and pairs of words is quicker and often better.",
            default="words",
            choices=(
                Choice(value="words", label="words and pairs of words are enough", settings=()),
                Choice(value="order", label="the order decides", settings=("model.num_layers=2",)),
            ),
        ),
    ),
)
_CONTINUE_TEXT = RecipeForm(
    key="continue-text",
    title="Continue text",
    text="Write on from a beginning, in the manner of the texts that it was shown.",
    data_kind="text",
    items="tokens",
    recipe="gpt-bpe",
    known=("python_source_bpe",),
    settings=("data.kind=text",),
    knobs=(
        Knob(
            key="text",
            kind="column",
            label="Which column has the text",
            why="Only where the texts are in a table; files of text have no columns.",
            setting="data.text_column",
            required=False,
        ),
        _passes(5, "text"),
        Knob(
            key="size",
            kind="choice",
            label="How large the model is",
            why="A larger one writes better where there is much text, and needs GPUs to learn in hours.",
            default="mini",
            unit="parameters",
            choices=tuple(
                Choice(
                    value=size,
                    label=label,
                    settings=(f"model.size={size}", f"model.context={context}"),
                    tokens=context,
                )
                for size, label, context in (
                    ("mini", "1 million", 128),
                    ("10m", "10 million", 512),
                    ("50m", "50 million", 1024),
                    ("124m", "124 million", 1024),
                )
            ),
        ),
    ),
)
WANTS = (_SORT_PICTURES, _PREDICT_COLUMN, _CLASSIFY_TEXT, _CONTINUE_TEXT)
