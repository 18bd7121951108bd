"""Many trainings that share a search, on one machine or on many. In the order in which a sweep passes through:

command_line -> sweep_file (search_space and its distributions, base_command) -> definition -> fitting (what the config
says to it) -> estimate (a dry run), or wandb_engine, or worker: storage (journal) -> study (identity: whose trials they
are; sampling: what the next one tries; hyperband: which stops) -> trial and trial_observer -> board -> outcome.

Beside the way: assignment (what a worker must know), trouble (what no trial is to blame for), agent (W&B's, running
`train`).
"""
