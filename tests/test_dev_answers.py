"""Answers that hold

Written by nbdev-export from the check cells of nbs/dev/06_answers.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

from mtl_explain.dev.answers import answers_of, differences, lesson_faults, numbers_in, unfounded


# a folded answer by hand
cell = """**1.** How many?

<details>
<summary>Answer</summary>

```python
print('counted', 40 + 2, 0.4219)
```
```text
counted 42 0.422
```

It is 42 or 42.2 %, of `n=1000`.

</details>
"""


def test_code_what_it_shows_and_the_sentences_are_told_apart():
    "What an answer holds."
    # code, what it shows, and the sentences are told apart; a cell without answers has none
    (answer,) = answers_of(cell)
    assert answer.code == "print('counted', 40 + 2, 0.4219)\n"
    assert answer.shown == "counted 42 0.422\n"
    assert answer.prose.startswith("It is 42")
    assert answers_of("**1.** How many?") == []


def test_last_digits_may_differ_numbers_signs_and_words_may_not():
    "The same, but for the last digits."
    assert differences("r = 0.38, 810 mm", "r =  0.37,   826 mm") == []
    assert differences("r = −0.38", "r = -0.38") == []
    assert differences("r = 0.38, 810 mm", "r = 0.28, 425 mm") == [
        "says 0.38, shows 0.28",
        "says 810, shows 425",
    ]
    assert differences("r = 0.38", "r = -0.38") == ["says 0.38, shows -0.38"]
    assert "other words" in differences("yes 1", "no 1")[0]
    assert [(n.value, n.step) for n in numbers_in("1,200 and −0.50, r2, 7e-4")] == [
        (1200, 100),
        (-0.5, 0.01),
        (7e-4, 1e-4),
    ]


def test_rounded_in_percent_with_a_sign_of_its_own():
    "The same, but for the last digits."
    # rounded, in percent, with a sign of its own: founded; what nothing computed is not
    (answer,) = answers_of(cell)
    assert unfounded(answer.prose, answer.shown) == []
    assert unfounded("About 40, two, 3, −0.4, and 90.", "0.42 42") == [
        "the sentences say 90, which the code does not show"
    ]


def test_a_small_lesson_holds():
    "A lesson with its answers."
    # a small lesson holds; with a stale number or with code that does not run it does not
    def lesson(text):
        "A lesson with one cell of code and one of text, as json."
        code = dict(cell_type="code", id="a", metadata={}, source="start = 40")
        code |= dict(outputs=[], execution_count=None)
        prose = dict(cell_type="markdown", id="b", metadata={}, source=text)
        return json.dumps(dict(cells=[code, prose], metadata={}, nbformat=4, nbformat_minor=5))


    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1-small.ipynb"

        def faults(old, new):
            path.write_text(lesson(cell.replace("40 + 2", "start + 2").replace(old, new)))
            return lesson_faults(path)

        assert faults("", "") == []
        assert faults("counted 42 0.422", "counted 52 0.422") == [
            "1-small.ipynb: answer 1 with code says 52, shows 42"
        ]
        assert faults("It is 42", "It is 43") == [
            "1-small.ipynb: the sentences say 43, which the code does not show"
        ]
        assert faults("start + 2", "begin + 2") == ["1-small.ipynb: does not run (see above)"]
