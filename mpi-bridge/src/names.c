/* Names of mpi.h that are macros, as objects that Rust can refer to. The MPI standard, annex A.1, lists them. */
#include "mpi.h"
#include <unistd.h>
/* Extensions of Open MPI, among them the one for the loss of ranks (ULFM). */
#if defined(OMPI_MAJOR_VERSION) && OMPI_MAJOR_VERSION >= 5
#include "mpi-ext.h"
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
/* From MPI 4.0 and the fault tolerance extension; -1 where there is no such class. */
#ifdef MPIX_ERR_PROC_FAILED
const int IPZ_ERR_PROC_FAILED = MPIX_ERR_PROC_FAILED;
#else
const int IPZ_ERR_PROC_FAILED = -1;
#endif
#ifdef MPIX_ERR_PROC_FAILED_PENDING
const int IPZ_ERR_PROC_FAILED_PENDING = MPIX_ERR_PROC_FAILED_PENDING;
#else
const int IPZ_ERR_PROC_FAILED_PENDING = -1;
#endif
#ifdef MPIX_ERR_REVOKED
const int IPZ_ERR_REVOKED = MPIX_ERR_REVOKED;
#else
const int IPZ_ERR_REVOKED = -1;
#endif
/* MPIX_Comm_shrink of ULFM, where the library has it and can lose ranks; -1 elsewhere. */
int ipz_comm_shrink(MPI_Comm comm, MPI_Comm *living)
{
#ifdef OMPI_HAVE_MPI_EXT_FTMPI
    return MPIX_Comm_shrink(comm, living);
#else
    (void)comm;
    (void)living;
    return -1;
#endif
}
/* Cores of this machine, whichever of them this process is bound to: mpiexec binds each rank to one. */
int ipz_cores(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}
