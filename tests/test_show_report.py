"""Reports

Written by nbdev-export from the check cells of nbs/api/show/04_report.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import base64
import re
import tempfile
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from jinja2 import Environment
from markupsafe import Markup

from mtl_explain.dev.browser import (
    asked_for, browser, browser_missing, console_errors, keep_screenshot, wait_for,
)
from mtl_explain.setup import Setup
from mtl_explain.show.figures import figure_png
from mtl_explain.show.report import (
    _inside, _page, _style, said_resampling, table_html, trace_errors, training_curves, write_report,
)
from mtl_explain.testing.planted import planted_trace
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.experiments import train_table
from mtl_explain.training.rivals import rival_names
from mtl_explain.training.runs import train_run
from mtl_explain.trust.promise import certify, promise


@pytest.fixture(scope='module')
def samples_unet_home_runs_others_mtl_and_apart():
    "A table of three runs."
    samples = toy_samples(96)
    unet = dict(optical=dict(type="unet", width=4, depth=1))
    tasks = ("cover", "elevation", "climate")
    setups = [
        Setup(unet, "cover", name="baseline"),
        Setup(unet | dict(months={}), "cover", core="optical", name="mml"),
        Setup(unet, tasks, core="optical", name="mtl"),
    ]
    setups.append(setups[-1].separate())
    home = Path(tempfile.mkdtemp())
    runs = train_table(samples, setups, home, epochs=2, bs=16, lr=1e-2, bar=False, device="cpu")
    *others, mtl, apart = runs
    return samples, unet, home, runs, others, mtl, apart


def test_a_figure_becomes_bytes_and_is_closed_whatever_hands_it_over():
    "Pieces."
    for pick in (lambda fig, axs: fig, lambda fig, axs: axs[0, 1], lambda fig, axs: axs):
        fig, axs = plt.subplots(1, 2, squeeze=False, figsize=(2, 1))
        png = figure_png(pick(fig, axs), dpi=40)
        assert png[:4] == b"\x89PNG"
        assert not plt.fignum_exists(fig.number)
    inside = _inside(png, 'what "it" shows')
    source = inside.partition('src="data:image/png;base64,')[2].partition('"')[0]
    assert base64.b64decode(source) == png
    assert 'alt="what &#34;it&#34; shows"' in inside


def test_digits_gaps_cuts_and_harmless_names():
    "Pieces."
    html = table_html(pd.DataFrame(dict(a=[1.23456789, float("nan"), 3])), rows=2)
    assert "1.235" in html
    assert "<td>–</td>" in html
    assert "the first 2 of 3 rows" in html
    assert "<script>" not in table_html(pd.DataFrame(dict(a=["<script>"])))
    assert "first" not in table_html(pd.DataFrame(dict(a=[1])))


def test_the_training_at_a_glance(samples_unet_home_runs_others_mtl_and_apart):
    "Pieces."
    samples, unet, home, runs, others, mtl, apart = samples_unet_home_runs_others_mtl_and_apart
    fig = training_curves(runs[-1])
    assert [ax.get_title() for ax in fig.axes] == [
        "loss",
        "cover accuracy",
        "elevation mae",
        "climate accuracy",
    ]
    assert [ax.get_ylabel() for ax in fig.axes] == ["", "", "m", ""]


def test_names_that_look_like_html_are_shown_tables_are_html():
    "The page."
    from_page = Environment(autoescape=True).from_string(_page)
    text = from_page.render(
        title="<b>",
        style=Markup(_style),
        scores=Markup("<table></table>"),
        left_out={"<i>": "a > b"},
        options={},
        versions={},
    )
    assert "<title>&lt;b&gt;</title>" in text
    assert "<table></table>" in text
    assert "<b>&lt;i&gt;</b>: a &gt; b" in text
    assert "18%, transparent" in text


def test_groups_if_there_are_groups_else_samples_with_what_that_means():
    "The page."
    trace = planted_trace(n_samples=60, n_groups=6, n_epochs=2)
    said = said_resampling(trace, None)
    assert said.startswith("intervals leave out whole groups of samples, of which there are 6")
    for asked, words in (("group", "no groups"), ("sample", "as was asked")):
        said = said_resampling(trace.drop_vars("group"), "test", asked)
        assert "single samples" in said
        assert words in said
        assert "too narrow" in said


def test_one_self_contained_page_with_figures_and_tables_beside_it(samples_unet_home_runs_others_mtl_and_apart):
    "A report on the toy world."
    samples, unet, home, runs, others, mtl, apart = samples_unet_home_runs_others_mtl_and_apart
    promise(mtl, 0.3)
    page = write_report(
        str(mtl.folder), samples, others=others, folder=home / "page", bar=False, control=apart.folder
    )
    text = page.read_text()
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert re.findall(r'(?:src|href)="(?!data:|#)', markup) == [], "nothing points outside the page"
    assert "<script src" not in text
    assert markup.count("<img") == 1 + len(list((page.parent / "figures").glob("*.png")))
    assert "{{" not in markup
    scores = pd.read_csv(page.parent / "tables" / "scores.csv", header=[0, 1], index_col=0)
    assert {"baseline", "mml", "mtl", apart.setup.name, *rival_names} <= set(scores.index)
    assert "The forest has 50 trees" in markup
    by_task = pd.read_csv(page.parent / "tables" / "skill.csv", index_col=0)
    assert by_task.index.name == "task" and set(mtl.setup.targets) == set(by_task.index)
    names = [p.name for p in page.parent.rglob("*.*")]
    assert not [n for n in names if set(n) & set('<>:"|?*()')]  # Windows takes them, and a shell
    assert "in networks that share nothing" in text
    assert "dashed: in networks that share nothing" in text
    assert "Do other tasks fail where cover fails?" in text
    assert "at most 30% of cover is answered wrongly" in text
    assert "If the surest 80 % are answered" in text


def test_an_old_report_is_replaced_as_a_whole_or_not_at_all(samples_unet_home_runs_others_mtl_and_apart):
    "A report on the toy world."
    samples, unet, home, runs, others, mtl, apart = samples_unet_home_runs_others_mtl_and_apart
    folder = home / "twice"
    old = write_report(runs[1], folder=folder, bar=False).read_text()
    failing = mock.Mock(side_effect=OSError("broken"))
    broken = mock.patch.dict(write_report.__globals__, explain=failing)
    with broken, pytest.raises(OSError, match="broken"):
        write_report(runs[0], folder=folder)
    assert (folder / "report.html").read_text() == old
    write_report(runs[0], folder=folder, bar=False)
    assert (folder / "report.html").read_text() != old
    assert not list(home.glob("*.partial"))


def test_what_somebody_else_wrote_is_never_removed_whatever_it_is_called(samples_unet_home_runs_others_mtl_and_apart):
    "A report on the toy world."
    samples, unet, home, runs, others, mtl, apart = samples_unet_home_runs_others_mtl_and_apart
    with tempfile.TemporaryDirectory() as d:
        for name, file in (("thesis", "report.html"), ("page.partial", "notes.txt")):
            (Path(d) / name).mkdir()
            (Path(d) / name / file).write_text("ten years")
            dest = Path(d) / name.removesuffix(".partial")
            with pytest.raises(FileExistsError, match=f"{name} is in the way and nothing proves"):
                write_report(runs[0], folder=dest, bar=False)
            assert (Path(d) / name / file).read_text() == "ten years"
        page = write_report(runs[0], folder=Path(d) / "mine", bar=False)
        (page.parent / "tables" / "mine.csv").write_text("ten years")
        with pytest.raises(
            FileExistsError, match="it holds tables/mine.csv, which mtl_explain did not write"
        ):
            write_report(runs[0], folder=page.parent, bar=False)
        assert (page.parent / "tables" / "mine.csv").exists()
        assert page.exists()


def test_without_the_samples_the_maps_are_left_out_and_the_page_says_so(samples_unet_home_runs_others_mtl_and_apart):
    "A report on the toy world."
    samples, unet, home, runs, others, mtl, apart = samples_unet_home_runs_others_mtl_and_apart
    text = write_report(mtl, folder=home / "bare", bar=False).read_text()
    assert "What does not apply" in text
    assert "<b>error maps" in text
    (mtl.folder / "promise.json").unlink(missing_ok=True)
    text = write_report(mtl, folder=home / "unpromised", bar=False).read_text()
    assert "Nothing was promised yet" in text
    assert str(mtl.folder.parent) not in text  # a page that travels says nothing of this machine


def test_a_trace_alone(samples_unet_home_runs_others_mtl_and_apart):
    "A report on the toy world."
    # a trace alone: the same readings, no curves, and what was promised if it is handed over
    samples, unet, home, runs, others, mtl, apart = samples_unet_home_runs_others_mtl_and_apart
    made = certify(mtl.trace, 0.3)
    page = write_report(
        mtl.trace,
        folder=home / "foreign",
        modalities=mtl.modalities,
        certificate=made,
        bar=False,
    )
    text = page.read_text()
    with_run = write_report(mtl, folder=home / "own", bar=False).read_text()
    for reading in re.findall('<p class="answer">.*?</p>', with_run):
        assert reading in text or "Nothing was promised yet" in reading
    assert "How it learnt" not in text
    assert "How it learnt" in with_run
    assert "at most 30% of cover is answered wrongly" in text
    scores = pd.read_csv(page.parent / "tables" / "scores.csv", index_col=0)
    assert set(scores.index) == set(mtl.setup.targets)
    blind = mtl.trace.drop_vars(["constant_error", "constant_loss"])
    text = write_report(blind, folder=home / "blind", modalities=mtl.modalities, bar=False).read_text()
    assert "Errors only" in text
    error = trace_errors(blind).error["cover"]
    part = blind.error.sel(task="cover", epoch=blind.attrs["kept"])[blind.split.values == "test"]
    assert error == pytest.approx(part.mean().item())
    with pytest.raises(ValueError, match="needs `modalities`, and a `folder`"):
        write_report(mtl.trace)
    with pytest.raises(ValueError, match="samples is 'report', .* where to write is said by `folder=`"):
        write_report(mtl.trace, "report")


def test_hostile_names_of_tasks_classes_samples_and_setups_do_nothing_in_a(samples_unet_home_runs_others_mtl_and_apart):
    "A report on the toy world."
    # hostile names of tasks, classes, samples and setups do nothing in a report
    samples, unet, home, runs, others, mtl, apart = samples_unet_home_runs_others_mtl_and_apart
    image = "<img src=x onerror=alert(1)>"
    script = "'\"]; </script><script>alert(1)</script>"
    comment = "<!--<script"
    broken = script.replace("/", "")  # a name of a variable may hold no slash
    strange = toy_samples(96).rename(cover=image, climate=broken).drop_vars("group")
    strange = strange.assign_coords(sample=[f"{comment}{i}" for i in range(96)])
    for n in (image, broken):
        strange[n].attrs["classes"] = [f"{script}{c}" for c in strange[n].attrs["classes"]]
    for n in strange.data_vars:
        if strange[n].attrs.get("parent") == "climate":
            strange[n].attrs["parent"] = broken
    tasks = (image, "elevation", broken)
    named = Setup(unet, tasks, core="optical", name=comment + image)
    harmless = train_run(strange, named, home / "strange", epochs=2, bs=16, bar=False, device="cpu")
    assert "<img" not in harmless._repr_html_()
    assert "<script" not in harmless._repr_html_()
    page = write_report(harmless, strange, folder=home / "strange-page", bar=False)
    assert "intervals leave out single samples, since the samples have no groups" in page.read_text()
    if not browser_missing():
        with browser(1000, 1300) as driver:
            driver.get(page.as_uri())
            wait_for(driver, "return document.querySelector('.vega-embed canvas')", 30, "the chart")
            keep_screenshot(driver, "hostile-report")
            pictures = driver.execute_script("return [...document.images].map(i => i.src.slice(0, 22))")
            assert set(pictures) == {"data:image/png;base64,"}
            assert driver.execute_script("return document.scripts.length") == 3
            assert console_errors(driver) == []
            assert all(a.startswith("file:") for a in asked_for(driver))
