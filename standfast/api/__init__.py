"""The API of a member: REST, a stream of what happens, metrics, and the page. A process of its own, see server.py."""
