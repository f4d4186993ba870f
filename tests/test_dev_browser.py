"""In a real browser

Written by nbdev-export from the check cells of nbs/api/59_browser.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import pytest

from mtl_explain.datasets import globe
from mtl_explain.dev.browser import (
    browser, browser_missing, drag, jupyter_lab, keep_screenshot, run_notebook, wait_for, write_notebook,
)
from mtl_explain.runs import train_run


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
            drag(driver, canvas, (.08, .26), (.36, .42))
            found = wait_for(driver, "const m = document.querySelector('.jp-OutputArea').innerText.match(/(\\d+) selected/); return m && +m[1]", 20, 'a selection')
            assert 0 < found <= 60
            button = driver.find_element(By.CSS_SELECTOR, '.jp-OutputArea button.jupyter-button')
            assert button.is_enabled()
            button.send_keys(Keys.ENTER)
            wait_for(driver, "return document.querySelector('.jp-OutputArea img[alt^=\"Input, truth\"]')", 60, 'the maps')
            keep_screenshot(driver, 'explorer')
