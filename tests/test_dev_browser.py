"""In a real browser

Written by nbdev-export from the check cells of nbs/dev/00_browser.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtl_explain.data.samples import modalities
from mtl_explain.datasets import globe
from mtl_explain.dev.browser import (
    asked_for, browser, browser_missing, console_errors, drag, jupyter_lab, keep_screenshot, run_notebook,
    wait_for, wait_until_still, write_notebook,
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
    found.push(mark.items.map(i =>
      [i.datum.sample, x + i.x, y + i.y, i.datum.x, i.datum.y, i.opacity]));
}
walk(view.scenegraph().root, view.origin()[0] + pad.left, view.origin()[1] + pad.top);
return found[0];
"""


# a page of html
def write_page(body, folder):
    "Write a page, and tell its address."
    page = Path(folder) / "page.html"
    head = '<!doctype html><meta charset="utf-8"><title>chart</title>'
    head += '<meta name="viewport" content="width=device-width">'
    page.write_text(head + body, encoding="utf-8")
    return page.as_uri()


# a page that keeps the view of its chart, and where the samples are drawn
def chart_page(chart, folder):
    "A page with one chart, whose view is kept as `window.view`."
    keep = """
    const embed = window.vegaEmbed;
    window.vegaEmbed = async (...a) => { window.view = (await embed(...a)).view; };
    """
    scripts = chart_html({}, "unused").partition("<div")[0]
    chart = chart_html(chart.to_dict(), "chart", scripts=False)
    return write_page(f'{scripts}<script type="module">{keep}</script>{chart}', folder)


def rectangle(places, low, high):
    "A rectangle over the middle of the samples on the canvas, its edges between them."

    def edge(at, share):
        "The middle of the widest of the next gaps."
        k = int(share * len(at))
        k = k + int(np.diff(at)[k : k + 8].argmax())
        return at[k : k + 2].mean()

    x = np.sort([p[1] for p in places])
    y = np.sort([p[2] for p in places])
    return [(edge(at, low), edge(at, high)) for at in (x, y)]


def in_units(places, edges):
    "The same rectangle in the units of the axes."
    _, x, y, x_value, y_value, _ = zip(*places, strict=True)
    x_edges, y_edges = edges
    return dict(
        x=np.polyval(np.polyfit(x, x_value, 1), x_edges).tolist(),
        y=np.polyval(np.polyfit(y, y_value, 1), y_edges).tolist(),
    )


def canvas_sizes(driver):
    "Width and height as drawn and as shown, in pixels of the page."
    return driver.execute_script("""
    const c = document.querySelector('.vega-embed canvas'), box = c.getBoundingClientRect();
    return [[c.width / devicePixelRatio, c.height / devicePixelRatio], [box.width, box.height]]""")
def drag_over(driver, edges):
    "Draw the rectangle with the mouse."
    wait_until_still(driver, ".vega-embed canvas")
    (width, height), _ = canvas_sizes(driver)
    (left, right), (top, bottom) = edges
    canvas = driver.find_element("css selector", ".vega-embed canvas")
    drag(driver, canvas, (left / width, top / height), (right / width, bottom / height))


# what a reader does in JupyterLab, on one kind of screen
def as_a_reader(driver, run, page, address, ratio):
    "Select, look at maps, move the slider: where it stands. Each step is read off the page."
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver.get(page)
    wait_for(driver, "return !!window.view", what="the chart")
    places = driver.execute_script(find_samples)
    edges = rectangle(places, 0.35, 0.65)
    auxiliary = next(t for t in run.setup.targets if t != run.setup.main)
    points = sample_points(run.trace)
    should = selected_samples(points, in_units(places, edges), 3, run.setup.main, auxiliary)
    n = len(should)
    needed = canvas_sizes(driver)[0]

    def find(what):
        return f"return document.querySelector('{what}')"

    run_notebook(driver, address, find(".vega-embed canvas"))
    wait_for(driver, find(".vega-embed .vega-bind"), what="the controls")
    empty = "return document.querySelector('.jp-OutputArea').innerText.includes('Nothing is sel')"
    wait_for(driver, empty, what="an empty selection")
    wait_until_still(driver, ".vega-embed canvas")
    drawn, shown = canvas_sizes(driver)
    keep_screenshot(driver, f"explorer-before-{ratio}")
    assert drawn == pytest.approx(needed, abs=1), f"drawn {drawn}, needed {needed}, at {ratio}"
    assert shown == pytest.approx(drawn, abs=1), f"drawn {drawn}, shown {shown}, at {ratio}"

    drag_over(driver, edges)
    listed_all = f"""
    const area = document.querySelector('.jp-OutputArea');
    const match = area.innerText.match(/(\\d+) selected/);
    const rows = area.querySelectorAll('table tbody th').length;
    return match && +match[1] === {n} && rows === {min(n, 12)}
    """
    assert n
    wait_for(driver, listed_all, what=f"a selection of {n}, and their table")
    rows = driver.find_elements(By.CSS_SELECTOR, ".jp-OutputArea table tbody th")
    listed = [row.get_property("textContent") for row in rows]
    assert set(listed) <= set(should)
    assert len(set(listed)) == min(n, 12)

    button = driver.find_element(By.CSS_SELECTOR, ".jp-OutputArea button.jupyter-button")
    assert button.is_enabled()
    button.send_keys(Keys.ENTER)
    wait_for(driver, find('.jp-OutputArea img[alt^="Input, truth"]'), what="the maps")
    keep_screenshot(driver, f"explorer-{ratio}")

    slider = driver.find_element(By.CSS_SELECTOR, ".vega-bind input[type=range]")
    assert slider.get_attribute("value") == "3"
    slider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    return int(slider.get_attribute("value"))


def test_what_grows_is_waited_for():
    "A rectangle selects what lies in it."
    if why := browser_missing():
        pytest.skip(why)
    grows = """<p id="p" style="height: 1px"></p><script>
const grow = setInterval(() => {
  p.style.height = p.offsetHeight + 10 + 'px';
  if (p.offsetHeight > 60) clearInterval(grow);
}, 50)</script>"""
    with tempfile.TemporaryDirectory() as folder, browser() as driver:
        driver.get(write_page(grows, folder))
        wait_until_still(driver, "#p")
        assert driver.execute_script("return p.offsetHeight") == 61


def test_on_both_kinds_of_screen_a_rectangle_selects_the_samples_that_are_seen():
    "A rectangle selects what lies in it."
    # on both kinds of screen a rectangle selects the samples that are seen in it
    if why := browser_missing():
        pytest.skip(why)
    world = planted_world(n_samples=150, n_groups=15, n_epochs=4)
    points = sample_points(world.trace)
    main = world.trace.attrs["main"]
    auxiliary = next(t for t in world.trace.task.values.tolist() if t != main)
    with tempfile.TemporaryDirectory() as folder:
        address = chart_page(explorer_chart(world.trace, modalities(world.samples)), folder)
        for ratio in (1, 2):
            with browser(1300, 1300, ratio=ratio) as driver:
                driver.get(address)
                wait_for(driver, "return !!window.view", what="the chart")
                drawn, shown = canvas_sizes(driver)
                assert shown == pytest.approx(drawn, abs=1), f"drawn {drawn}, shown {shown}, at {ratio}"
                places = driver.execute_script(find_samples)
                assert {p[0] for p in places} == set(points["sample"])
                edges = rectangle(places, 0.2, 0.7)
                should = selected_samples(points, in_units(places, edges), 3, main, auxiliary)
                drag_over(driver, edges)
                driver.execute_async_script("window.view.runAsync().then(() => arguments[0]())")
                keep_screenshot(driver, f"rectangle-{ratio}")
                bright = [p[0] for p in driver.execute_script(find_samples) if p[5] > 0.5]
                assert 5 < len(should) < len(points)
                assert sorted(bright) == sorted(should)


def test_the_rectangle_selects_what_lies_in_it_the_maps_come_the_slider_moves():
    "The explorer in JupyterLab."
    # the rectangle selects what lies in it, the maps come, the slider moves: in JupyterLab
    if why := browser_missing():
        pytest.skip(why)
    look = "from mtl_explain.all import *\nexplore(load_run('run'), globe.load_sample())"
    with tempfile.TemporaryDirectory() as folder:
        setup = globe.setups["climate-mtl"]
        path = Path(folder) / "run"
        train_run(globe.load_sample(), setup, path, epochs=4, bs=16, bar=False)
        run = load_run(path)
        page = chart_page(explorer_chart(run.trace, run.modalities), folder)
        write_notebook(Path(folder) / "look.ipynb", look)
        with jupyter_lab(folder) as address:
            for ratio in (1, 2):
                with browser(1280, 1500, ratio=ratio) as driver:
                    assert as_a_reader(driver, run, page, address("look.ipynb"), ratio) == 1


def test_slider_chooser_and_rectangle_change_the_picture_without_a_word_to_the():
    "A chart on a page of its own."
    # slider, chooser and rectangle change the picture, without a word to the network
    if why := browser_missing():
        pytest.skip(why)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    with tempfile.TemporaryDirectory() as folder, browser(1000, 1300) as driver:
        world = planted_world(n_samples=60, n_groups=6, n_epochs=4)
        sure = world.trace.loss.astype("float32")  # a confidence that each epoch and task has anew
        trace = world.trace.assign(confidence=np.exp(-sure))
        chart = explorer_chart(trace, modalities(world.samples), control=trace)
        driver.get(write_page(chart_html(chart.to_dict(), "chart"), folder))
        picture = "const c = document.querySelector('.vega-embed canvas'); return c && c.toDataURL()"
        seen = [wait_for(driver, picture, what="the chart")]

        def changed():
            another = f"""
        const picture = document.querySelector('.vega-embed canvas').toDataURL();
        return {json.dumps(seen[-1])} === picture ? null : picture
        """
            return wait_for(driver, another, what="another picture")

        driver.find_element(By.CSS_SELECTOR, ".vega-bind input[type=range]").send_keys(Keys.ARROW_LEFT)
        seen.append(changed())
        for name in ("auxiliary", "main"):
            chooser = Select(driver.find_element(By.CSS_SELECTOR, f".vega-bind select[name={name}]"))
            for task in (o.text for o in chooser.options):
                if task != chooser.first_selected_option.text:
                    chooser.select_by_visible_text(task)
                    seen.append(changed())
                    assert console_errors(driver) == [], f"{name}: {task}"
        slider = driver.find_element(By.CSS_SELECTOR, ".vega-bind input[type=range]")
        slider.send_keys(Keys.ARROW_LEFT)
        seen.append(changed())
        canvas = driver.find_element(By.CSS_SELECTOR, ".vega-embed canvas")
        drag(driver, canvas, (0.1, 0.3), (0.36, 0.42))
        seen.append(changed())
        keep_screenshot(driver, "chart")
        assert console_errors(driver) == []
        assert all(a.startswith("file:") for a in asked_for(driver))


def test_on_a_phone_nothing_is_cut_off():
    "A chart on a page of its own."
    if why := browser_missing():
        pytest.skip(why)
    world = planted_world(n_samples=60, n_groups=6, n_epochs=4)
    chart = explorer_chart(world.trace, modalities(world.samples))
    with tempfile.TemporaryDirectory() as folder, browser(390, 800, ratio=2) as driver:
        driver.get(chart_page(chart, folder))
        wait_for(driver, "return !!window.view", what="the chart")
        drawn, shown = canvas_sizes(driver)
        keep_screenshot(driver, "chart-390")
        assert shown == pytest.approx(drawn, abs=1)
        assert shown[0] <= 390
        assert shown[1] > 3 * shown[0]  # one under the other
        assert console_errors(driver) == []


def test_hostile_names_of_tasks_classes_samples_and_runs_are_shown_and_not():
    "Names that are not harmless."
    # hostile names of tasks, classes, samples and runs are shown and not obeyed, and the chart works
    if why := browser_missing():
        pytest.skip(why)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    image = "<img src=x onerror=alert(1)>"
    script = "'\"]; </script><script>alert(1)</script>"
    comment = "<!--<script"
    world = planted_world(n_samples=60, n_groups=6, n_epochs=4)
    tasks = dict(zip(world.trace.task.values.tolist(), (image, script, comment), strict=False))


    def renamed(trace):
        names = [tasks.get(t, t) for t in trace.task.values.tolist()]
        ids = [f"{image}{i}" for i in trace["sample"].values]
        main = tasks.get(trace.attrs["main"], trace.attrs["main"])
        return trace.assign_coords(task=names, sample=ids).assign_attrs(main=main)


    described = {}
    for n, m in modalities(world.samples).items():
        name = tasks.get(n, n)
        classes = tuple(f"{script}{c}" for c in m.classes)
        described[name] = replace(m, name=name, classes=classes, parent=tasks.get(m.parent, m.parent))
    trace = renamed(world.trace)
    other = renamed(planted_world(60, n_groups=6, n_epochs=4, seed=1).trace)
    explorer = explorer_chart(trace, described).to_dict()
    two_runs = comparison_chart(trace, other, (image, script)).to_dict()
    body = chart_html(explorer, f"0{script}", scripts=True)
    body += chart_html(two_runs, f"1{script}", scripts=False)
    with tempfile.TemporaryDirectory() as folder, browser(1000, 1300) as driver:
        driver.get(write_page(f'{body}<p id="end">end</p>', folder))
        two = "return document.querySelectorAll('.vega-embed canvas').length === 2"
        wait_for(driver, two, what="two charts")
        driver.find_element(By.CSS_SELECTOR, ".vega-bind input[type=range]").send_keys(Keys.ARROW_LEFT)
        keep_screenshot(driver, "hostile")
        chooser = driver.find_element(By.CSS_SELECTOR, ".vega-bind select")
        options = {o.text for o in chooser.find_elements(By.TAG_NAME, "option")}
        assert driver.find_element(By.ID, "end").text == "end"
        assert driver.find_elements(By.TAG_NAME, "img") == []
        assert len(driver.find_elements(By.TAG_NAME, "script")) == 3
        assert options >= {image, script, comment}
        assert console_errors(driver) == []
        assert all(a.startswith("file:") for a in asked_for(driver))
