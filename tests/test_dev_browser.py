"""In a real browser

Written by nbdev-export from the check cells of nbs/dev/00_browser.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtl_explain.data.samples import modalities
from mtl_explain.datasets import globe
from mtl_explain.dev.browser import (
    asked_for, browser, browser_missing, console_errors, drag, jupyter_lab, keep_screenshot, run_notebook,
    wait_for, write_notebook,
)
from mtl_explain.show.explore import selected_samples
from mtl_explain.show.views import chart_html, comparison_chart, explorer_chart, sample_points
from mtl_explain.testing.planted import planted_world
from mtl_explain.training.runs import load_run, train_run


# a page that keeps the view of its chart, and where the samples are drawn
find_samples = """
const found = [], view = window.view, pad = view.padding();
function walk(mark, x, y) {
  if (mark.marktype === 'group')
    mark.items.forEach(i => i.items.forEach(m => walk(m, x + (i.x || 0), y + (i.y || 0))));
  else if (mark.marktype === 'symbol' && mark.items.length && mark.items[0].datum.sample)
    found.push(mark.items.map(i => [i.datum.sample, x + i.x, y + i.y, i.datum.x, i.datum.y, i.opacity]));
}
walk(view.scenegraph().root, view.origin()[0] + pad.left, view.origin()[1] + pad.top);
return found[0];
"""


# a page that keeps the view of its chart, and where the samples are drawn
def chart_page(chart, folder):
    "A page with one chart, whose view is kept as `window.view`."
    spec = chart.to_dict()
    keep = "const embed = window.vegaEmbed; window.vegaEmbed = async (...a) => { window.view = (await embed(...a)).view; };"
    scripts = chart_html({}, "unused").partition("<div")[0]
    page = Path(folder) / "page.html"
    body = (
        f'{scripts}<script type="module">{keep}</script>{chart_html(spec, "chart", scripts=False)}'
    )
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><title>chart</title>{body}', encoding="utf-8"
    )
    return page.as_uri()


def rectangle(places, low, high):
    "A rectangle on the canvas over the middle of the samples, its edges between them and not on them."
    edges = []
    for axis in (1, 2):
        at = np.sort([p[axis] for p in places])
        gaps = np.diff(at)
        lower, upper = (
            k + int(gaps[k : k + 8].argmax()) for k in (int(low * len(at)), int(high * len(at)))
        )
        edges.append((at[lower : lower + 2].mean(), at[upper : upper + 2].mean()))
    return edges


def in_units(places, edges):
    "The same rectangle in the units of the axes."
    scales = {
        a: np.polyfit([p[k] for p in places], [p[k + 2] for p in places], 1)
        for a, k in dict(x=1, y=2).items()
    }
    return {a: np.polyval(scales[a], e).tolist() for a, e in zip("xy", edges, strict=True)}


def canvas_sizes(driver):
    "Width and height as drawn and as shown, in pixels of the page."
    return driver.execute_script("""
    const c = document.querySelector('.vega-embed canvas'), box = c.getBoundingClientRect();
    return [[c.width / devicePixelRatio, c.height / devicePixelRatio], [box.width, box.height]]""")
def drag_over(driver, edges):
    "Draw the rectangle with the mouse."
    (width, height), _ = canvas_sizes(driver)
    canvas = driver.find_element("css selector", ".vega-embed canvas")
    drag(
        driver,
        canvas,
        (edges[0][0] / width, edges[1][0] / height),
        (edges[0][1] / width, edges[1][1] / height),
    )


def test_on_both_kinds_of_screen_the_canvas_is_as_large_as_it_was_drawn_and_a():
    "A rectangle selects what lies in it."
    # on both kinds of screen, the canvas is as large as it was drawn, and a rectangle selects the samples that are seen in it
    if why := browser_missing():
        pytest.skip(why)
    world = planted_world(n_samples=150, n_groups=15, n_epochs=4)
    points = sample_points(world.trace)
    main = world.trace.attrs["main"]
    auxiliary = next(t for t in world.trace.task.values.tolist() if t != main)
    with tempfile.TemporaryDirectory() as folder:
        address = chart_page(explorer_chart(world.trace, modalities(world.samples), n_boot=20), folder)
        for ratio in (1, 2):
            with browser(1300, 1300, ratio=ratio) as driver:
                driver.get(address)
                wait_for(driver, "return !!window.view", 30, "the chart")
                drawn, shown = canvas_sizes(driver)
                assert shown == pytest.approx(drawn, abs=1), f"drawn {drawn}, shown {shown}, at {ratio}"
                places = driver.execute_script(find_samples)
                assert {p[0] for p in places} == set(points["sample"])
                edges = rectangle(places, 0.2, 0.7)
                should = selected_samples(points, in_units(places, edges), 3, main, auxiliary)
                drag_over(driver, edges)
                keep_screenshot(driver, f"rectangle-{ratio}")
                bright = [p[0] for p in driver.execute_script(find_samples) if p[5] > 0.5]
                assert 5 < len(should) < len(points)
                assert sorted(bright) == sorted(should)


def test_the_rectangle_selects_what_lies_in_it_the_maps_come_the_slider_moves():
    "The explorer in JupyterLab."
    # the rectangle selects what lies in it, the maps come, the slider moves: in JupyterLab
    if why := browser_missing():
        pytest.skip(why)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    with tempfile.TemporaryDirectory() as folder:
        train_run(
            globe.load_sample(),
            globe.setups["climate-mtl"],
            Path(folder) / "run",
            epochs=4,
            bs=16,
            bar=False,
        )
        run = load_run(Path(folder) / "run")
        points = sample_points(run.trace)
        auxiliary = next(t for t in run.setup.targets if t != run.setup.main)
        page = chart_page(explorer_chart(run.trace, run.modalities), folder)
        write_notebook(
            Path(folder) / "look.ipynb",
            "from mtl_explain.all import *\nexplore(load_run('run'), globe.load_sample())",
        )
        with jupyter_lab(folder) as address:
            for ratio in (1, 2):
                with browser(1280, 1500, ratio=ratio) as driver:
                    driver.get(page)
                    wait_for(driver, "return !!window.view", 30, "the chart")
                    places = driver.execute_script(find_samples)
                    edges = rectangle(places, 0.35, 0.65)
                    should = selected_samples(
                        points, in_units(places, edges), 3, run.setup.main, auxiliary
                    )
                    needed = canvas_sizes(driver)[0]
                    run_notebook(
                        driver,
                        address("look.ipynb"),
                        "return document.querySelector('.vega-embed canvas')",
                    )
                    wait_for(
                        driver,
                        "return document.querySelector('.vega-embed .vega-bind')",
                        20,
                        "the controls",
                    )
                    time.sleep(1)
                    drawn, shown = canvas_sizes(driver)
                    assert drawn == pytest.approx(needed, abs=1) and shown == pytest.approx(
                        drawn, abs=1
                    ), f"drawn {drawn}, shown {shown}, at {ratio}"
                    text = "return document.querySelector('.jp-OutputArea').innerText"
                    assert "Nothing is selected" in driver.execute_script(text)
                    keep_screenshot(driver, f"explorer-before-{ratio}")
                    drag_over(driver, edges)
                    found = wait_for(
                        driver,
                        "const m = document.querySelector('.jp-OutputArea').innerText.match(/(\\d+) selected/); return m && +m[1]",
                        20,
                        "a selection",
                    )
                    listed = driver.execute_script(
                        "return [...document.querySelectorAll('.jp-OutputArea table tbody th')].map(e => e.textContent)"
                    )
                    assert 0 < found == len(should)
                    assert set(listed) <= set(should)
                    assert len(listed) == min(found, 12)
                    button = driver.find_element(
                        By.CSS_SELECTOR, ".jp-OutputArea button.jupyter-button"
                    )
                    assert button.is_enabled()
                    button.send_keys(Keys.ENTER)
                    wait_for(
                        driver,
                        "return document.querySelector('.jp-OutputArea img[alt^=\"Input, truth\"]')",
                        60,
                        "the maps",
                    )
                    keep_screenshot(driver, f"explorer-{ratio}")
                    slider = driver.find_element(By.CSS_SELECTOR, ".vega-bind input[type=range]")
                    assert slider.get_attribute("value") == "3"
                    slider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
                    assert slider.get_attribute("value") == "1"


def test_slider_chooser_and_rectangle_change_the_picture_without_a_word_to_the():
    "A chart on a page of its own."
    # slider, chooser and rectangle change the picture, without a word to the network
    if why := browser_missing():
        pytest.skip(why)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    with tempfile.TemporaryDirectory() as folder, browser(1000, 1300) as driver:
        world = planted_world(n_samples=60, n_groups=6, n_epochs=4)
        page = Path(folder) / "page.html"
        page.write_text(
            '<!doctype html><meta charset="utf-8"><title>chart</title>'
            + chart_html(
                explorer_chart(world.trace, modalities(world.samples), n_boot=20).to_dict(), "chart"
            ),
            encoding="utf-8",
        )
        driver.get(page.as_uri())
        picture = "const c = document.querySelector('.vega-embed canvas'); return c && c.toDataURL()"
        seen = [wait_for(driver, picture, 30, "the chart")]

        def changed():
            return wait_for(
                driver,
                f"const c = document.querySelector('.vega-embed canvas').toDataURL(); return {json.dumps(seen)}.includes(c) ? null : c",
                10,
                "another picture",
            )

        driver.find_element(By.CSS_SELECTOR, ".vega-bind input[type=range]").send_keys(Keys.ARROW_LEFT)
        seen.append(changed())
        driver.find_elements(By.CSS_SELECTOR, ".vega-bind select")[1].send_keys("weather")
        seen.append(changed())
        drag(
            driver, driver.find_element(By.CSS_SELECTOR, ".vega-embed canvas"), (0.1, 0.3), (0.36, 0.42)
        )
        seen.append(changed())
        keep_screenshot(driver, "chart")
        assert console_errors(driver) == []
        assert all(a.startswith("file:") for a in asked_for(driver))


def test_hostile_names_of_tasks_classes_samples_and_runs_are_shown_and_not():
    "Names that are not harmless."
    # hostile names of tasks, classes, samples and runs are shown and not obeyed, and the chart works
    if why := browser_missing():
        pytest.skip(why)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    image, script, comment = (
        "<img src=x onerror=alert(1)>",
        "'\"]; </script><script>alert(1)</script>",
        "<!--<script",
    )
    world = planted_world(n_samples=60, n_groups=6, n_epochs=4)
    tasks = dict(zip(world.trace.task.values.tolist(), (image, script, comment), strict=False))


    def renamed(trace):
        trace = trace.assign_coords(task=[tasks.get(t, t) for t in trace.task.values.tolist()])
        ids = [f"{image}{i}" for i in trace["sample"].values]
        return trace.assign_coords(sample=ids).assign_attrs(
            main=tasks.get(trace.attrs["main"], trace.attrs["main"])
        )


    described = {}
    for n, m in modalities(world.samples).items():
        classes = tuple(f"{script}{c}" for c in m.classes)
        described[tasks.get(n, n)] = replace(
            m, name=tasks.get(n, n), classes=classes, parent=tasks.get(m.parent, m.parent)
        )
    trace = renamed(world.trace)
    charts = [
        explorer_chart(trace, described, n_boot=20),
        comparison_chart(
            trace, renamed(planted_world(60, n_groups=6, n_epochs=4, seed=1).trace), (image, script)
        ),
    ]
    body = "".join(chart_html(c.to_dict(), f"{n}{script}", scripts=not n) for n, c in enumerate(charts))
    with tempfile.TemporaryDirectory() as folder, browser(1000, 1300) as driver:
        page = Path(folder) / "page.html"
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><title>chart</title>{body}<p id="end">end</p>',
            encoding="utf-8",
        )
        driver.get(page.as_uri())
        wait_for(
            driver,
            "return document.querySelectorAll('.vega-embed canvas').length === 2",
            30,
            "two charts",
        )
        driver.find_element(By.CSS_SELECTOR, ".vega-bind input[type=range]").send_keys(Keys.ARROW_LEFT)
        keep_screenshot(driver, "hostile")
        assert driver.find_element(By.ID, "end").text == "end"
        assert driver.find_elements(By.TAG_NAME, "img") == []
        assert len(driver.find_elements(By.TAG_NAME, "script")) == 3
        options = driver.find_element(By.CSS_SELECTOR, ".vega-bind select").find_elements(
            By.TAG_NAME, "option"
        )
        assert {o.text for o in options} >= {image, script, comment}
        assert console_errors(driver) == []
        assert all(a.startswith("file:") for a in asked_for(driver))
