"""A model after it is trained and judged: pushed, asked, and converted for devices.

In: the exported model with its blessings. Out: numbered versions that a server reads (`pusher`,
`versions`), answers for picture files (`asking`), and models for devices (`tflite`). Tests:
tests/components/serving.
"""
