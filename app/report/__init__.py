"""Reports for people and machines: text for the terminal, JSON, Markdown, HTML. They render a `Report`; they compute nothing."""
