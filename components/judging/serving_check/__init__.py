"""Checks that the exported model answers real requests before it is pushed.

In: the exported model, the trained network, and the eval split before and after Transform. Out:
an InfraBlessing, which the Pusher obeys, and report.json with a sentence for each case.
`component` declares it, `executor` runs it, `sample` chooses the pictures, `requests` makes the
requests, `probe` answers them in a process of its own. Tests:
tests/components/judging/test_serving_check.py.
"""
