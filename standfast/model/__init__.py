"""What things are: members, queue managers, assignments, timing, events. Pure data, no behaviour at the edge."""
