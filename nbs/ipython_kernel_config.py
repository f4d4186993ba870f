"""What every notebook's kernel is told; `make venv` puts it into the environment."""

c = get_config()  # noqa: F821
c.InlineBackend.figure_formats = {"retina"}  # twice as many pixels, shown at the same size
