/* Names of mpi.h that are macros, as objects that Rust can refer to. The MPI standard, annex A.1, lists them. */
#include "mpi.h"
#include <unistd.h>

/* Which libraries this build can be used with: those that share the binary interface of this one. The package around
   it reads that from the file (`extensions.py`), before anything is loaded. */
#if defined(OPEN_MPI)
const char IPZ_FAMILY[] = "ipclusterz-mpi family: openmpi";
#elif defined(MPICH_VERSION) || defined(MPICH_NUMVERSION) || defined(I_MPI_VERSION)
const char IPZ_FAMILY[] = "ipclusterz-mpi family: mpich";
#else
const char IPZ_FAMILY[] = "ipclusterz-mpi family: unknown";
#endif

void *const IPZ_IN_PLACE = MPI_IN_PLACE;
const MPI_Op IPZ_MINLOC = MPI_MINLOC;
const MPI_Op IPZ_MAXLOC = MPI_MAXLOC;
const MPI_Datatype IPZ_FLOAT_INT = MPI_FLOAT_INT;
const MPI_Datatype IPZ_DOUBLE_INT = MPI_DOUBLE_INT;
const MPI_Datatype IPZ_LONG_INT = MPI_LONG_INT;
const MPI_Datatype IPZ_2INT = MPI_2INT;
const MPI_Datatype IPZ_SHORT_INT = MPI_SHORT_INT;
const MPI_Datatype IPZ_BYTE = MPI_BYTE;
const MPI_Datatype IPZ_LONG_DOUBLE = MPI_LONG_DOUBLE;
const MPI_Datatype IPZ_C_LONG_DOUBLE_COMPLEX = MPI_C_LONG_DOUBLE_COMPLEX;
/* The loss of ranks (ULFM). Open MPI has it from version 5 on, and one binary serves version 4 as well, whose headers do
   not know it: so the numbers of its classes are written here, and the function is looked up when this is loaded. */
#if defined(OPEN_MPI)
const int IPZ_ERR_PROC_FAILED = 75;
const int IPZ_ERR_PROC_FAILED_PENDING = 76;
const int IPZ_ERR_REVOKED = 77;
extern int MPIX_Comm_shrink(MPI_Comm comm, MPI_Comm *living) __attribute__((weak));
#elif defined(MPIX_ERR_PROC_FAILED) && defined(MPIX_ERR_PROC_FAILED_PENDING) && defined(MPIX_ERR_REVOKED)
const int IPZ_ERR_PROC_FAILED = MPIX_ERR_PROC_FAILED;
const int IPZ_ERR_PROC_FAILED_PENDING = MPIX_ERR_PROC_FAILED_PENDING;
const int IPZ_ERR_REVOKED = MPIX_ERR_REVOKED;
#else
const int IPZ_ERR_PROC_FAILED = -1;
const int IPZ_ERR_PROC_FAILED_PENDING = -1;
const int IPZ_ERR_REVOKED = -1;
#endif
/* MPIX_Comm_shrink of ULFM, where the library has it and can lose ranks; -1 elsewhere. */
int ipz_comm_shrink(MPI_Comm comm, MPI_Comm *living)
{
#if defined(OPEN_MPI)
    if (MPIX_Comm_shrink)
        return MPIX_Comm_shrink(comm, living);
#endif
    (void)comm;
    (void)living;
    return -1;
}
/* Cores of this machine, whichever of them this process is bound to: mpiexec binds each rank to one. */
int ipz_cores(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}
