"""Functions the model may call, one a file. All of them only read."""
