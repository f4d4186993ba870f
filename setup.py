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
    extras_require={
        name.removesuffix('_requirements'): settings[name].split()
        for name in settings
        if name.endswith('_requirements')
    },
)
