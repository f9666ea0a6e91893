"""The engine: maths of one leaf to transforms of trees, storage, names and rules, hyperparameters, spaces."""
