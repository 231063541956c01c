"""Tests of bondmate.core."""
