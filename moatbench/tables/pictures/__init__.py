"""Pictures in the owner's files: arrays of numpy, IDX files, a folder for each class."""
