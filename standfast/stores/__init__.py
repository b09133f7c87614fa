"""The store: etcd over its JSON gateway, the process that serves it, a stand-in in memory, and the typed ledger."""
