"""A real cluster on this machine: real daemons, real etcd, real queue managers, on loopback addresses of its own."""
