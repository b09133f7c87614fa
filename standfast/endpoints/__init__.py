"""What clients and load balancers see: health URLs and the proxy that follows the owner."""
