"""The demo: draws pictures of people who sit, stand and lie, with true labels.

In: a number of clips and a seed. Out: a data root as real tranches have it, including their
quirks (`tranches`). The pictures show that the software works, not its clinical accuracy.
Tested in tests/components/demo.
"""
