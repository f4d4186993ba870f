"""In a real browser

Written by nbdev-export from the check cells of nbs/api/59_browser.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import pytest

from mtl_explain.datasets import globe
from mtl_explain.dev.browser import (
    asked_for, browser, browser_missing, console_errors, drag, jupyter_lab, keep_screenshot, run_notebook,
    wait_for, write_notebook,
)
from mtl_explain.explain.planted import planted_world
from mtl_explain.explain.views import chart_html, explorer_chart
from mtl_explain.runs import train_run
from mtl_explain.samples import modalities


def test_the_slider_moves_the_rectangle_selects_the_maps_come():
    "The explorer in JupyterLab."
    # the slider moves, the rectangle selects, the maps come: in JupyterLab
    if why := browser_missing(): pytest.skip(why)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    with tempfile.TemporaryDirectory() as folder:
        train_run(globe.load_sample(), globe.setups['climate-mtl'], Path(folder)/'run', epochs=4, bs=16, bar=False)
        write_notebook(Path(folder)/'look.ipynb', "from mtl_explain.all import *\nexplore(load_run('run'), globe.load_sample())")
        with jupyter_lab(folder) as address, browser(1280, 1500) as driver:
            run_notebook(driver, address('look.ipynb'), "return document.querySelector('.vega-embed canvas')")
            text = "return document.querySelector('.jp-OutputArea').innerText"
            assert 'Nothing is selected' in driver.execute_script(text)
            slider = driver.find_element(By.CSS_SELECTOR, '.vega-bind input[type=range]')
            assert slider.get_attribute('value') == '3'
            slider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
            assert slider.get_attribute('value') == '1'
            keep_screenshot(driver, 'explorer-before')
            canvas = driver.find_element(By.CSS_SELECTOR, '.vega-embed canvas')
            drag(driver, canvas, (.1, .3), (.36, .42))
            found = wait_for(driver, "const m = document.querySelector('.jp-OutputArea').innerText.match(/(\\d+) selected/); return m && +m[1]", 20, 'a selection')
            assert 0 < found <= 60
            button = driver.find_element(By.CSS_SELECTOR, '.jp-OutputArea button.jupyter-button')
            assert button.is_enabled()
            button.send_keys(Keys.ENTER)
            wait_for(driver, "return document.querySelector('.jp-OutputArea img[alt^=\"Input, truth\"]')", 60, 'the maps')
            keep_screenshot(driver, 'explorer')


def test_slider_chooser_and_rectangle_change_the_picture_without_a_word_to_the():
    "A chart on a page of its own."
    # slider, chooser and rectangle change the picture, without a word to the network
    if why := browser_missing(): pytest.skip(why)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    with tempfile.TemporaryDirectory() as folder, browser(1000, 1300) as driver:
        world = planted_world(n_samples=60, n_groups=6, n_epochs=4)
        page = Path(folder)/'page.html'
        page.write_text('<!doctype html><meta charset="utf-8"><title>chart</title>' + chart_html(explorer_chart(world.trace, modalities(world.samples), n_boot=20).to_dict(), 'chart'), encoding='utf-8')
        driver.get(page.as_uri())
        picture = "const c = document.querySelector('.vega-embed canvas'); return c && c.toDataURL()"
        seen = [wait_for(driver, picture, 30, 'the chart')]
        def changed(): return wait_for(driver, f"const c = document.querySelector('.vega-embed canvas').toDataURL(); return {json.dumps(seen)}.includes(c) ? null : c", 10, 'another picture')
        driver.find_element(By.CSS_SELECTOR, '.vega-bind input[type=range]').send_keys(Keys.ARROW_LEFT)
        seen.append(changed())
        driver.find_elements(By.CSS_SELECTOR, '.vega-bind select')[1].send_keys('weather')
        seen.append(changed())
        drag(driver, driver.find_element(By.CSS_SELECTOR, '.vega-embed canvas'), (.1, .3), (.36, .42))
        seen.append(changed())
        keep_screenshot(driver, 'chart')
        assert console_errors(driver) == [] and all(a.startswith('file:') for a in asked_for(driver))
