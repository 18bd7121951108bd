"""Whether a process was started as one of several is read off its environment."""

from __future__ import annotations

from nnscratch.distributed.launch import Launch, launched


def test_mpirun_of_open_mpi_tells_size_rank_and_how_many_are_here() -> None:
    environment = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
    assert launched(environment) == Launch(4, 2)


def test_mpich_and_intel_mpi_have_names_of_their_own() -> None:
    assert launched({"PMI_SIZE": "3", "PMI_RANK": "1"}) == Launch(3, 1)


def test_srun_with_pmix_or_pmi2_is_recognised() -> None:
    step = {"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5"}
    assert launched({**step, "PMIX_RANK": "5"}) == Launch(8, 5)
    assert launched({**step, "PMI_FD": "9", "PMI_RANK": "5"}) == Launch(8, 5)


def test_slurms_number_of_tasks_alone_does_not_mean_mpi() -> None:
    assert launched({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}) is None
    assert launched({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "3"}) is None


def test_one_process_is_alone_however_it_was_started() -> None:
    assert launched({}) is None
    assert launched({"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}) is None
    assert launched({"PMI_SIZE": "many"}) is None
