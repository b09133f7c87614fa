"""Programs that stand in for real ones which tests can not have: each says of what it is a stand-in, and from what."""
