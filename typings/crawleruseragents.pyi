CRAWLER_USER_AGENTS_DATA: list[dict[str, str]]
