"""The models of tools/survey.py. A suite is a list of names and a function that makes the `models.Case` of a name."""

from . import tiny_transformers, variants, vision

SUITES = {**tiny_transformers.SUITES, **variants.SUITES, **vision.SUITES}
