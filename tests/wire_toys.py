"""What the wire's tests have in common."""

KEY_ENV = "RAYSWEEP_TEST_HOST_KEY"
MODEL = "gpt-4.1-mini-2025-04-14"
