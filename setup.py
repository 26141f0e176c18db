from setuptools import find_packages, setup
setup(packages=find_packages(include=["pipeline*","components*","schema*"]), py_modules=["local_runner"])
