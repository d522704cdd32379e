import numpy as np
import pytest

from loadtest.errors import WireError
from loadtest.wire.client import Answer
from loadtest.wire.rows import joined, read_rows
from loadtest.wire.served import ServedModel, served_cascade
from tests.loadtest.tiny_server import answers, tiny_cascade

X = np.array([[0.9, 1.0], [0.45, 0.0]], np.float32)
CASCADE = served_cascade(tiny_cascade())
LABELLED = ServedModel(name="m", inputs=(), outputs=("label",))
SCORED = ServedModel(name="m", inputs=(), outputs=("logits",), scores_output="logits")


def test_a_cascade_s_rows_are_its_outputs() -> None:
    rows = read_rows(Answer(answers(X, "window")), CASCADE, 2)
    assert rows.label.tolist() == [1, 0]
    assert rows.exit_stage.tolist() == [1, 2]
    assert rows.exit_reason.tolist() == ["window", "last"]
    assert len(joined([rows, rows])) == 4


def test_numbers_of_rows_may_come_as_columns() -> None:
    columns = {name: array.reshape(2, 1) for name, array in answers(X, "window").items() if array.ndim == 1}
    rows = read_rows(Answer(columns), CASCADE, 2)
    assert rows.label.shape == rows.exit_stage.shape == rows.accepted.shape == (2,)


def test_a_plain_model_s_label_is_the_largest_of_its_scores_or_its_own() -> None:
    scored = read_rows(Answer({"logits": np.array([[1.0, 5.0, 2.0], [9.0, 0.0, 0.0]])}), SCORED, 2)
    assert scored.label.tolist() == [1, 0]
    assert scored.exit_stage.tolist() == [1, 1] and scored.accepted.all()
    assert scored.probabilities.shape == (2, 3)
    labelled = read_rows(Answer({"label": np.array([[4], [2]])}), LABELLED, 2)
    assert labelled.label.tolist() == [4, 2]
    assert labelled.probabilities.shape == (2, 0)


@pytest.mark.parametrize(
    ("served", "outputs", "message"),
    [
        (LABELLED, {}, "output 'label' is missing"),
        (LABELLED, {"label": np.zeros((2, 3), np.int64)}, "no label for each row"),
        (LABELLED, {"label": np.array(["cat", "dog"])}, "no label for each row"),
        (LABELLED, {"label": np.zeros(3, np.int64)}, r"has the shape \[3\] for 2 rows"),
        (CASCADE, {"label": np.zeros(2, np.int64)}, "output 'score' is missing"),
    ],
)
def test_what_can_t_be_read_is_said(
    served: ServedModel, outputs: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(WireError, match=message):
        read_rows(Answer(outputs), served, 2)
