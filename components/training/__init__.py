"""Training: from transformed examples to an exported, calibrated model.

In: Transform's splits and graph, and `TrainerSettings`. Out: the SavedModel with its signatures
(`signatures.py`), the Keras model, and `history.json` with settings, phases and calibration.
`trainer.run_fn` is the entry point; `phases.fit` trains, `training_data` and `splits` feed it,
`frozen_features` stores what the frozen layers compute, `calibration` fits temperature and
threshold. `tuner.tuner_fn` searches for better settings before.

Tested in tests/components/training.
"""
