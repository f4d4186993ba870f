"""Data from elsewhere

Written by nbdev-export from the check cells of nbs/api/files/01_schemas.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from mtl_explain.files.schemas import fault_line, field_path, read_document


@pytest.fixture(scope='module')
def schema():
    "What a small document must look like."
    return dict(
        type="object",
        required=["epochs"],
        additionalProperties=False,
        properties=dict(
            epochs=dict(type="integer", minimum=1),
            names=dict(type="array", items=dict(type="string"), minItems=1),
            kind=dict(enum=["image", "mask"]),
            share=dict(type=["number", "null"], exclusiveMaximum=1),
        ),
    )


def test_the_path_of_a_field_by_names_and_positions_and_faults_of_each_kind_in(schema):
    "A field in words."
    # the path of a field, by names and positions, and faults of each kind in words
    assert field_path(["setup", "inputs", 0]) == "setup.inputs[0]"
    assert field_path([]) == ""


    def first_fault(value):
        return fault_line(best_match(Draft202012Validator(schema).iter_errors(value)))


    assert first_fault(dict(epochs="two")) == "epochs is 'two', expected a whole number"
    assert first_fault(dict(epochs=0)) == "epochs is 0, expected at least 1"
    assert first_fault({}) == "epochs is missing"
    assert first_fault(dict(epochs=1, seeds=3)) == "seeds is unknown; known: epochs, kind, names, share"
    assert first_fault(dict(epochs=1, names=["a", 2])) == "names[1] is 2, expected text"
    assert first_fault(dict(epochs=1, names=[])) == "names is [], expected at least 1 entries"
    assert first_fault(dict(epochs=1, kind="video")) == "kind is 'video', expected one of image, mask"
    long = f"share is '{'x' * 56}..., expected a number or nothing"
    assert first_fault(dict(epochs=1, share="x" * 99)) == long
    assert first_fault([1]) == "the whole is [1], expected a dictionary"


def test_files_that_are_no_json_not_what_was_expected_or_not_there(schema):
    "A document."
    # files that are no JSON, not what was expected, or not there: one line each, with the name
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "config.json"
        faults = {
            '{"epochs": 1': "no JSON in line 1, column 13",
            '{"epochs": NaN}': "NaN is no number that can be used here",
            '{"epochs": 1.5}': "epochs is 1.5, expected a whole number",
            "[" * 100_000: "nested too deep to be read",
            "9" * 5000: "Exceeds the limit",
            '"epochs"': "the whole is 'epochs', expected a dictionary",
        }
        for text, match in faults.items():
            path.write_text(text)
            with pytest.raises(ValueError) as caught:
                read_document(path, schema)
            message = str(caught.value)
            assert message.startswith(f"{path}: {match}"), message
            assert "\n" not in message
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match="config.json: this is no text file"):
            read_document(path, schema)
        with pytest.raises(FileNotFoundError, match="there is no file .*nowhere.json"):
            read_document(Path(d) / "nowhere.json", schema)
        path.write_text('{"epochs": 3, "names": ["a"]}')
        assert read_document(path, schema) == dict(epochs=3, names=["a"])
