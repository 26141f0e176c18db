"""Packages the project for Beam's workers.

A Beam runner on other machines gets this file by `--setup_file` and installs the
source distribution it makes; Beam knows no pyproject.toml on its own. Name,
version and dependencies come from there all the same.
"""

from setuptools import find_packages, setup

setup(
    packages=find_packages(include=["pipeline*", "components*", "schema*"]),
    py_modules=["local_runner"],
    package_data={
        "pipeline": ["*.toml"],
        "pipeline.dossier": ["checklists/*.toml", "templates/*.jinja"],
        "pipeline.review": ["templates/*.jinja", "static/*"],
        "schema": ["*.pbtxt"],
    },
)
