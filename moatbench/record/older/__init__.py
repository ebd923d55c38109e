"""Records of earlier versions, as those of today."""
