"""Where queue managers keep their data: claimed by the launched process itself, probed from disposable children."""
