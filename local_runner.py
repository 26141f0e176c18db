"""The main job on one machine: from tranches to a pushed model, or a verdict why not.

    python local_runner.py --data-root path/to/tranches
    python local_runner.py                     # draws demo tranches and runs on them
    python local_runner.py --demo-tranches 4   # draws one more, and compares with that model

The exit status is 0 if the model was pushed, 3 if it was not blessed, 4 if the
data was refused, 2 if the settings cannot work, and 1 for anything else.
"""

from pipeline.commands import script

if __name__ == "__main__":
    script.start("run", "run")
