"""The dossier of a run: a folder for a quality file, OUT/dossier/RUN.

`contents.contents` words it from the `Run` and the `Review` of its page; nothing is measured here.
What no run can know is left blank, and listed in TO_FILL_IN.md.
"""
