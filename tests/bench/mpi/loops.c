/* The same loops as OSU's micro-benchmarks have: MPI alone, without Python. Loaded by `ranks.py`, which has initialised MPI. */
#include <mpi.h>
#include <string.h>

/* Seconds of `turns` calls, on this rank. `bytes` is the whole buffer of a rank. */
double loop(const char *call, void *from, void *to, long bytes, int turns)
{
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const double began = MPI_Wtime();
    for (int turn = 0; turn < turns; turn++) {
        if (!strcmp(call, "Allreduce"))
            MPI_Allreduce(from, to, bytes / 8, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        else if (!strcmp(call, "Bcast"))
            MPI_Bcast(to, bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
        else if (!strcmp(call, "Alltoall"))
            MPI_Alltoall(from, bytes / size, MPI_BYTE, to, bytes / size, MPI_BYTE, MPI_COMM_WORLD);
        else if (rank == 0) {
            MPI_Send(from, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
            MPI_Recv(to, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else if (rank == 1) {
            MPI_Recv(to, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(from, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
        }
    }
    return MPI_Wtime() - began;
}
