"The fields that pyproject.toml lists as dynamic, read from settings.ini."
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

config = ConfigParser()
config.read(Path(__file__).parent / 'settings.ini', encoding='utf-8')
settings = config['DEFAULT']

setup(
    python_requires='>=' + settings['min_python'],
    install_requires=settings['requirements'].split(),
    extras_require={n: settings[f'{n}_requirements'].split() for n in ('dev', 'simulate', 'aggregation', 'trust', 'queue', 'doors', 'attribution', 'hub')},
)
