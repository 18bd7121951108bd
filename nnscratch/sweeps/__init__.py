"""Sweeps: many trainings that share a search, on one machine or on many."""
