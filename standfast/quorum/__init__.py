"""What follows from what: lease, grants, detection, arbitration, placement, life cycle. Pure logic."""
