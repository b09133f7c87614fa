"""Links between members: the sealed frame and the UDP sockets that carry it."""
