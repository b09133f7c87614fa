"""What a load needs of a broker's protocol: one file per protocol, none of which reconnects or retries by itself.

The usual client libraries hide what a drill measures: they hold messages back while disconnected, reconnect after
delays of their own, and repeat without saying so. These speak the wire protocol instead, a few hundred bytes per
message, and every attempt is the load's decision. The tests read the same data back with the usual libraries.
"""
