"""A local server of OpenAI's fine-tuning wire: for rehearsals before a host is paid, and for tests."""
