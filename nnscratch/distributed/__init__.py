"""Several processes that train, evaluate or predict together, over MPI."""
