"""Beam's stages on Apache Flink.

In: a `SessionPlan` in the environment, which the job has written, and pipelines that
Beam hands to `runner.FlinkRunner`. Out: their results. `session` starts Flink on the
nodes of the job with the programs of `programs`; on each node `keeper` runs a task
manager and a `worker_pool`, for which `forker` forks Beam's Python workers. `jars`
fetches and checks the Java side. Tested in tests/cluster.
"""
